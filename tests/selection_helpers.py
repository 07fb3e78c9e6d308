"""Helpers for fixtures that compute in one process what several tests look at."""


def selected(request, argument):
    """Return the values of a parameter in all selected tests that use the requesting fixture (with its parameter)."""
    own = getattr(request, "param", None)
    items = [item for item in request.session.items if request.fixturename in getattr(item, "fixturenames", ())]
    specs = [item.callspec for item in items if hasattr(item, "callspec")]
    specs = [spec for spec in specs if argument in spec.params and spec.params.get(request.fixturename) == own]
    return list(dict.fromkeys(spec.params[argument] for spec in specs))
