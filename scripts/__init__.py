"""Programs beside the package: checks, benchmarks, fitting of what is shipped, documents."""
