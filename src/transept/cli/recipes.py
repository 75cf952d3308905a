"""`transept recipes`: what can be trained by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from transept.cli.common import JsonOption, emit, guarded, verb
from transept.errors import UsageError

Name = Annotated[str, typer.Argument(metavar="NAME", help="A recipe of the list.")]


class Recipes(typer.core.TyperGroup):
    """The commands of recipes: the name of a recipe in the place of one is told how to go on."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        from transept.recipes.recipe import recipe_names

        if args[0] not in self.commands and args[0] in recipe_names():
            ctx.fail(f"{args[0]} is a recipe: `transept recipes show {args[0]}` prints it.")
        return super().resolve_command(ctx, args)


def add(app: typer.Typer) -> None:
    group = typer.Typer(
        cls=Recipes, help="List recipes, show one, or copy one.", rich_markup_mode=None, add_completion=False
    )
    group.callback(invoke_without_command=True)(bare)
    verb(group, "transept recipes list", name="list")(list_recipes)
    verb(group, "transept recipes show transformer-base")(show)
    verb(group, "transept recipes copy pairs", "transept recipes copy pairs mine.yaml")(copy)
    app.add_typer(group, name="recipes")


def bare(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        with guarded(debug=False):
            list_recipes()


def list_recipes(as_json: JsonOption = False) -> None:
    """List the recipes that come with the package, each with what it is."""
    from transept.recipes.recipe import recipe_names, summary

    names = recipe_names()
    width = max(map(len, names))
    for name in names:
        if as_json:
            emit({"recipe": name, "summary": summary(name)})
        else:
            print(f"{name:<{width}}  {summary(name)}")


def show(name: Name) -> None:
    """Print a recipe, with the comments that say where its numbers come from."""
    from transept.recipes.recipe import recipe_text

    print(recipe_text(name), end="")


def copy(
    name: Name,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="The copy; NAME.yaml here if not said.")] = None,
) -> None:
    """Copy a recipe into a file of your own."""
    from transept.recipes.recipe import recipe_text

    text, target = recipe_text(name), file or Path(f"{name}.yaml")
    try:
        with target.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise UsageError("this file exists already", where=target, remedy="Name another file.") from None
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=target) from error
    print(f"{target}: change it, then `transept check {target}` and `transept train {target}`")
