"""Configs as Keras 2 wrote them: a class name and its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nyala.base import check, configurable, registry


def serialize_keras_object(instance: Any) -> Any:
    """``{"class_name", "config"}`` of an object, the name of a function. Raises ValueError for what has neither."""
    if instance is None:
        return None
    if hasattr(instance, "get_config"):
        return {"class_name": registry.get_registered_name(type(instance)), "config": instance.get_config()}
    if hasattr(instance, "__name__"):
        return registry.get_registered_name(instance)
    return check.fail("serialize_keras_object", f"{instance!r} has neither get_config nor a name")


def deserialize_keras_object(
    identifier: Any,
    module_objects: Mapping[str, Any] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    printable_module_name: str = "object",
) -> Any:
    """An object from its config or name.

    Args:
        module_objects: name -> class or function, searched after ``custom_objects`` and the registered ones, before all
            built-in ones. printable_module_name: for the error message.
    """
    if identifier is None:
        return None
    known = {**(module_objects or {}), **(custom_objects or {})}

    def of_users(name: str) -> Any:
        found = registry.custom(name, custom_objects)
        return found if found is not None else (module_objects or {}).get(name)

    if isinstance(identifier, Mapping):
        if "class_name" not in identifier or "config" not in identifier:
            check.fail("deserialize_keras_object", f"a config has class_name and config, got {dict(identifier)}")
        found = of_users(identifier["class_name"])
        with registry.custom_object_scope(known):
            if found is None:
                return configurable.deserialize(dict(identifier))
            return (
                found.from_config(identifier["config"])
                if hasattr(found, "from_config")
                else found(**identifier["config"])
            )
    if isinstance(identifier, str):
        found = of_users(identifier)
        found = (
            found
            if found is not None
            else next((f for role in registry.HOMES if (f := registry.find(role, identifier)) is not None), None)
        )
        if found is None:
            check.fail(
                "deserialize_keras_object", f"unknown {printable_module_name} {identifier!r}; give custom_objects"
            )
        return found() if isinstance(found, type) else found
    return identifier


__all__ = ["deserialize_keras_object", "serialize_keras_object"]
