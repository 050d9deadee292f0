"""Names and shapes of a network's parameters, for most kinds without building it or torch."""

from __future__ import annotations

from musicgen.models.config import KINDS, ModelConfig, Shapes


def weight_shapes(config: ModelConfig) -> Shapes:
    """Shape of every parameter by name, as `build_model(config).named_parameters()` has them."""
    kind, outputs = KINDS[config.kind], config.d_model
    if kind.layer_shapes is None:
        return _shapes_of_network(config)
    width, vocab = config.width_in, config.vocab_size
    shapes: Shapes = {"embedding.token.weight": (vocab, width)}
    if n_plain := sum(config.feature_sizes[i] for i in config.plain_columns):
        shapes["embedding.table.weight"] = (n_plain, width)
    if n_inputs := len(config.token_inputs):
        shapes |= {
            "embedding.map.weight": (width, width * n_inputs),
            "embedding.map.bias": (width,),
        }
    shapes |= kind.layer_shapes(config)
    shapes["readout.output.bias"] = (vocab,)
    if not config.tie_embeddings:
        shapes["readout.output.weight"] = (vocab, outputs)
    if n_copies := len(config.copy_columns):
        shapes |= {"readout.push.weight": (n_copies, outputs), "readout.push.bias": (n_copies,)}
        if config.trust_columns:
            n_values = sum(config.feature_sizes[i] for i in config.trust_columns)
            shapes["readout.trust.weight"] = (n_values, n_copies)
    return shapes


def _shapes_of_network(config: ModelConfig) -> Shapes:
    """The shapes of a network that is built on the meta device, without memory for its weights."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        network = KINDS[config.kind].network(config)
    return {name: tuple(p.shape) for name, p in network.named_parameters()}
