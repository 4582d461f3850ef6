"""Writes dictionaries as TOML: tables of tables of plain values, which is all a spec has."""

import json


def _value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
    # JSON's escapes of a string are TOML's, as long as everything else stays as it is.
    return json.dumps(str(value), ensure_ascii=False)


def _key(key):
    return key if key.replace("_", "a").replace("-", "a").isalnum() and key.isascii() else json.dumps(key)


def to_toml(spec):
    plain = [f"{_key(key)} = {_value(value)}" for key, value in spec.items() if not isinstance(value, dict)]
    tables = [f"\n[{_key(key)}]\n" + "\n".join(f"{_key(name)} = {_value(item)}" for name, item in value.items())
              for key, value in spec.items() if isinstance(value, dict)]
    return "\n".join(plain + tables) + "\n"
