"""The device profiles that come with the program, as data; one TOML file each."""

import difflib
import functools
from importlib import resources
from pathlib import Path

from drivers.errors import ProfileError
from drivers.profile import Profile
from drivers.profiles.parsing import parse_profile

__all__ = ["load_profile", "parse_profile", "profile_names", "read_profile"]

_SUFFIX = ".toml"


@functools.cache
def profile_names() -> tuple[str, ...]:
    """Names of all profiles, sorted."""
    files = resources.files(__name__).iterdir()
    return tuple(sorted(file.name.removesuffix(_SUFFIX) for file in files if file.name.endswith(_SUFFIX)))


@functools.cache
def load_profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        ProfileError: there is none, or its file is wrong; one line per mistake.
    """
    names = profile_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3)
        offer = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(names)}"
        raise ProfileError(f"no device profile {name!r}; {offer}")
    text = (resources.files(__name__) / f"{name}{_SUFFIX}").read_text(encoding="utf-8")
    return parse_profile(name, text, f"{name}{_SUFFIX}")


def read_profile(path: Path) -> Profile:
    """The profile in a file; its name is the file's.

    Raises:
        ProfileError: it cannot be read, or is wrong; one line per mistake.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ProfileError(f"{path}: is not UTF-8") from None
    return parse_profile(path.name.removesuffix(_SUFFIX), text, str(path))
