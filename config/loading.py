"""From a campaign file to a CampaignSpec, or to one ConfigError that names file, key and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from niobe.config.errors import ConfigError
from niobe.config.feasibility import why_not
from niobe.config.goals.spec import with_absolute_files
from niobe.config.home import resolved
from niobe.config.spec import CampaignSpec, Source

Model = TypeVar("Model", bound=BaseModel)
_LONGEST, _DEEPEST = 500_000, 100
_MOST_DIGITS = 100
"""Of an integer as it is written, in whatever base: time goes with their square."""
_WANTED = {
    "tuple_type": "needs a list, such as [a, b]",
    "dict_type": "needs keys with values, such as {name: value}",
    "model_type": "needs keys with values, such as {name: value}",
    "model_attributes_type": "needs keys with values, such as {name: value}",
    "string_type": "needs text; put it in quotes",
    "string_pattern_mismatch": "needs a short name of lower-case letters, digits, - and _, no - or _ first",
}
"""What a key wants, by pydantic's name for the mistake, where pydantic speaks of Python's types."""


def load_campaign(path: Path, **overrides: Any) -> CampaignSpec:
    """Read a YAML campaign file; ``overrides`` with a value replace keys (``oracle__name``: a key inside).

    Paths in the file are relative to the file. Raises ConfigError: one line, nothing done.
    """
    content = _read(path)
    for key, value in overrides.items():
        if value is not None:
            _set(content, key.split("__"), value)
    return campaign_of(content, str(path), path.parent)


def campaign_of(content: Mapping[str, Any], name: str, folder: Path) -> CampaignSpec:
    """The campaign that keys and values make, as a file has them.

    name: what messages call it. folder: what its paths are relative to. Raises ConfigError: one line.

    content: keys of a campaign file.
    """
    try:
        spec = CampaignSpec.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{name}: {_first_problem(error)}") from None
    if reason := why_not(spec):
        raise ConfigError(f"{name}: {reason}")
    return _with_absolute_paths(spec, folder)


def with_changes(spec: CampaignSpec, changes: Mapping[str, Any]) -> CampaignSpec:
    """The campaign with some keys replaced, such as ``{"acquisition.function": "greedy"}``."""
    content = spec.model_dump(mode="json")
    for key, value in changes.items():
        _set(content, key.split("."), value)
    return CampaignSpec.model_validate(content)


def as_begun(spec: Model, begun: Model) -> Model:
    """``spec`` with every key that it does not name as in ``begun``, whatever the defaults are by now."""
    changes: dict[str, Any] = {}
    for key in type(spec).model_fields:
        mine, theirs = getattr(spec, key), getattr(begun, key)
        if key not in spec.model_fields_set:
            changes[key] = theirs
        elif isinstance(mine, BaseModel) and isinstance(theirs, type(mine)):
            changes[key] = as_begun(mine, theirs)
        elif isinstance(mine, tuple) and len(mine) == len(theirs):
            pairs = zip(mine, theirs, strict=True)
            changes[key] = tuple(as_begun(a, b) if isinstance(a, BaseModel) else a for a, b in pairs)
    return spec.model_copy(update=changes)


def _read(path: Path) -> dict[str, Any]:
    import yaml

    text = _text(path)
    try:
        content = yaml.load(text, _careful())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a campaign file is a mapping of keys; allowed: {_allowed(CampaignSpec)}")
    return content


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path}: is no file")
        with path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such campaign file; `niobe new {path}` writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    if len(text) > _LONGEST:
        raise ConfigError(f"{path}: more than {_LONGEST} letters")
    return text


def _careful() -> Any:
    """A safe YAML loader that takes each key once (without, the last of two would count), no aliases (of a
    few of which the rest of the file can be made a billion times), nothing deep and no long integers."""
    import yaml
    from yaml.composer import ComposerError
    from yaml.constructor import ConstructorError

    class Loader(yaml.SafeLoader):
        depth = 0

        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            mark = self.peek_event().start_mark
            if self.check_event(yaml.AliasEvent):
                raise ComposerError(None, None, "aliases (*name) are not read; write it out", mark)
            if self.depth > _DEEPEST:
                raise ComposerError(None, None, f"nested more than {_DEEPEST} deep", mark)
            self.depth += 1
            node: yaml.Node | None = super().compose_node(parent, index)
            self.depth -= 1
            return node

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys: set[Any] = set()
            for key_node, _ in node.value:
                key = self.construct_object(key_node, deep=True)
                if not isinstance(key, Hashable) or key in keys:
                    why = "stands twice" if isinstance(key, Hashable) else "is no key"
                    raise ConstructorError(None, None, f"{key!r} {why}", key_node.start_mark)
                keys.add(key)
            return super().construct_mapping(node, deep)

        def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
            if len(node.value) > _MOST_DIGITS:
                raise ConstructorError(None, None, f"more than {_MOST_DIGITS} digits", node.start_mark)
            return super().construct_yaml_int(node)

    Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)
    return Loader


def _set(content: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = content.setdefault(key, {})
        if not isinstance(inner, dict):
            return
        content = inner
    content[keys[-1]] = value


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"]) or "campaign"
    if problem["type"] == "extra_forbidden":
        return _unknown_key(problem["loc"])
    if problem["type"] == "missing":
        return f"{where}: missing; it is required"
    message = _WANTED.get(problem["type"], str(problem["msg"]).removeprefix("Value error, "))
    given = problem.get("input")
    shown = "" if isinstance(given, dict | list | tuple) else f" (got {given!r})"
    return f"{where}: {message}{shown}"


def _unknown_key(location: tuple[int | str, ...]) -> str:
    model = _model_at(location[:-1])
    key = str(location[-1])
    if location == ("prior",):
        return "prior: is prerelax since schema version 4; call it so"
    names = list(model.model_fields) if model else []
    near = difflib.get_close_matches(key, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; allowed: {', '.join(names)}"
    return f"{'.'.join(str(part) for part in location)}: unknown key{hint}"


def _model_at(location: tuple[int | str, ...]) -> type[BaseModel] | None:
    model: Any = CampaignSpec
    for part in location:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        arguments = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type)]
        model = (
            annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else arguments[0]
        )
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def _allowed(model: type[BaseModel]) -> str:
    return ", ".join(model.model_fields)


def _with_absolute_paths(spec: CampaignSpec, folder: Path) -> CampaignSpec:
    """Files are found from wherever a worker runs."""
    files = tuple(str(resolved(folder / file)) for file in spec.seeds.files)
    for file in files:
        if not Path(file).exists():
            raise ConfigError(f"seeds.files: {file}: no such file or folder")
    corpus = str(resolved(folder / spec.corpus)) if spec.corpus else None
    if corpus:
        _check_corpus(Path(corpus))
    surrogate = _replaced(spec.surrogate, checkpoint=_checkpoint_in(folder, spec.surrogate.checkpoint))
    excluded = tuple(_absolute_if_a_file(folder, entry) for entry in spec.seeds.exclude)
    seeds = _replaced(spec.seeds, files=files, exclude=excluded)
    oracle = _replaced(spec.oracle, kwargs=_files_in(folder, spec.oracle.kwargs))
    sources = tuple(_source_in(folder, source) for source in spec.sources)
    goals = with_absolute_files(spec.goals, folder)
    return _replaced(
        spec, seeds=seeds, oracle=oracle, corpus=corpus, sources=sources, surrogate=surrogate, goals=goals
    )


def _replaced(model: Model, **fields: Any) -> Model:
    """Other values of fields that were named; the rest stays unnamed."""
    return model.model_copy(update={key: fields[key] for key in fields.keys() & model.model_fields_set})


def _absolute_if_a_file(folder: Path, entry: str) -> str:
    path = resolved(folder / entry)
    return str(path) if path.exists() else entry


def _files_in(folder: Path, value: Any) -> Any:
    """What an ASE calculator is made with; names of files that are there become absolute."""
    if isinstance(value, dict):
        return {key: _files_in(folder, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_files_in(folder, inner) for inner in value]
    if not isinstance(value, str) or not value:
        return value
    if Path(value).is_absolute() and not Path(value).exists():
        raise ConfigError(f"oracle.kwargs: {value}: no such file or folder")
    return _absolute_if_a_file(folder, value)


def _check_corpus(path: Path) -> None:
    if not path.exists():
        raise ConfigError(f"corpus: {path}: no such file or folder")
    if path.is_dir() and not (path / "gan.json").is_file():
        raise ConfigError(f"corpus: {path}: holds no gan.json; allowed: a file of structures, a trained GAN")


def _checkpoint_in(folder: Path, named: str | None) -> str | None:
    if named is None:
        return None
    path = resolved(folder / named)
    if not (path / "surrogate.json").is_file():
        raise ConfigError(f"surrogate.checkpoint: {path}: no surrogate.json; allowed: a folder of models fit")
    return str(path)


def _source_in(folder: Path, source: Source) -> Source:
    if source.kind not in {"files", "icsd"} and (source.kind != "niobe" or "://" in source.at):
        return source
    path = resolved(folder / source.at)
    if not path.exists():
        raise ConfigError(f"sources: {source.name}: {path}: no such file or folder")
    return source.model_copy(update={"at": str(path)})
