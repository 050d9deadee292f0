"""Models on the Hugging Face Hub: found by name, downloaded once, uploaded in one commit.

    folder = find("someone/celtic")              # a folder, a shipped model, or one of the Hub
    upload(checkpoint, "someone/mine", private=True)

A download is a folder from a stranger: only the files of a model are fetched, within the bounds of
`checkpoint.load`, which then checks them. Downloads are kept in the cache of huggingface_hub, where
they are found without a network, too (`HF_HUB_OFFLINE=1`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from musicgen.errors import CheckpointError, MusicgenError, printable
from musicgen.models import checkpoint as checkpoints
from musicgen.models.checkpoint import EVERY_FILE, MAX_BYTES, Checkpoint
from musicgen.models.sealed_folder import MANIFEST

MESSAGE = "Upload a model of musicgen"  # of a commit
_NAME = re.compile(r"(?P<repository>(?P<user>\w[\w.-]*)/\w[\w.-]*)(?:@(?P<revision>[\w./-]+))?")
# Classes of huggingface_hub.errors with what to say of them, the first that fits.
_FAULTS = (
    (
        "OfflineModeIsEnabled",
        "HF_HUB_OFFLINE is set, so only models in the cache are found, and nothing is sent",
    ),
    ("GatedRepoError", "asks for consent to its terms; give it on {place}, then run hf auth login"),
    ("RevisionNotFoundError", "has no such revision; see {place}"),
    (
        "RepositoryNotFoundError",
        "is neither a folder here nor a model at {endpoint} that this account may use; check the "
        "name, or run hf auth login",
    ),
    ("HFValidationError", "is no name of a model; use user/name"),
)
# The others: files, answers that are not what they should be, uploads.
_ERRORS = (
    OSError, ValueError, RuntimeError,
    LookupError, TypeError, AttributeError, AssertionError,
)  # fmt: skip
_REFUSED = "{endpoint} refuses it to this account ({reason}); run hf auth login"
_FAILED = "{endpoint} cannot be used ({reason}); try again later"


def find(
    name: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Path:
    """Folder of a model: of a folder on the disk, of a shipped model by name, or else of a model
    of the Hub, downloaded if it is not in the cache. A folder on the disk comes first, and a name
    `user/...` whose first part is a folder is never asked for on the Hub.

    Args:
        name: of the Hub: `user/name`, or `user/name@revision`.
        revision: a branch, tag or commit of the Hub (default: its main branch).
        cache_dir: another cache than that of huggingface_hub.
        token: for models that are not public (default: that of `hf auth login`).
        report: called with one line before something is downloaded.

    Raises:
        CheckpointError: there is no such model, it cannot be reached, or it is too large.
    """
    match = _NAME.fullmatch(name) if isinstance(name, str) else None
    if match is None or Path(name).exists() or Path(match["user"]).is_dir():
        return checkpoints.locate(name)
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import DryRunError

    wanted: dict[str, Any] = {
        "repo_id": match["repository"],
        "revision": revision or match["revision"],
        "cache_dir": cache_dir,
        "token": token,
        "allow_patterns": EVERY_FILE,
    }
    with _one_line(str(name)):
        try:
            files = snapshot_download(**wanted, dry_run=True)
        except DryRunError as error:  # no network, or no such model
            try:
                return Path(snapshot_download(**wanted, local_files_only=True))
            except OSError:
                raise (error.__cause__ or error) from None
        sizes = {file.filename: file.file_size for file in files}
        if MANIFEST not in sizes:
            raise CheckpointError(f"{name}: is no model of musicgen; its {MANIFEST} is missing")
        for file, size in sizes.items():
            if size > MAX_BYTES[Path(file).suffix]:
                raise CheckpointError(f"{name}/{file}: is too large; get another model")
        missing = sum(file.file_size for file in files if file.will_download)
        if missing:
            report(f"downloading {name} from {constants.ENDPOINT} ({missing / 1e6:.1f} MB)")
        return Path(snapshot_download(**wanted))


def upload(
    checkpoint: Checkpoint,
    name: str,
    *,
    revision: str | None = None,
    private: bool | None = None,
    message: str = MESSAGE,
    token: str | None = None,
) -> str:
    """Make a repository `user/name` on the Hub, unless it exists, and put the files of a model in
    it in one commit: its address.

    Args:
        checkpoint: the model.
        name: `user/name`.
        revision: the branch, made if needed (default: main).
        private: whether a new repository is private (default: as the account has it).
        message: of the commit.
        token: of an account that may write there (default: that of `hf auth login`).

    Raises:
        CheckpointError: it cannot be reached, or the account may not write there.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    if not _NAME.fullmatch(name):
        raise CheckpointError(f"{name}: is no name of a model; use user/name")
    files = checkpoints.files_of(checkpoint)
    api = HfApi(token=token)
    with _one_line(name):
        address = api.create_repo(name, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(name, branch=revision, exist_ok=True)
        api.create_commit(
            name,
            [CommitOperationAdd(path, data) for path, data in files.items()],
            commit_message=message,
            revision=revision,
        )
    return str(address)


@contextmanager
def _one_line(name: str) -> Iterator[None]:
    """Each error of huggingface_hub as one line.

    Raises:
        CheckpointError: instead of the error.
    """
    from huggingface_hub import constants

    # Names that this module has from others, which a type checker takes for private.
    errors: Any = import_module("huggingface_hub.errors")
    try:
        yield
    except MusicgenError:
        raise
    except (errors.HTTPError, *_ERRORS) as error:
        status = getattr(getattr(error, "response", None), "status_code", 0)
        unknown = _REFUSED if status in (401, 403) else _FAILED
        known = (text for kind, text in _FAULTS if isinstance(error, getattr(errors, kind)))
        reason = str(error).strip().partition("\n")[0][:200] or type(error).__name__
        place = f"{constants.ENDPOINT}/{name.partition('@')[0]}"
        said = next(known, unknown).format(
            endpoint=constants.ENDPOINT, place=place, reason=printable(reason)
        )
        raise CheckpointError(f"{name}: {said}") from None
