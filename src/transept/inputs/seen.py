"""The inputs that take pictures. Each has the `size` of a picture, its `channels`, and a `grid` of places."""

from transept.inputs.annotations import Annotations
from transept.inputs.levels import Levels
from transept.inputs.patches import Patches

Seen = Patches | Annotations | Levels
