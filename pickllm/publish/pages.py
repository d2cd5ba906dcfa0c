"""Pages: the templates of what a study publishes, and Markdown as HTML."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2


def template(name: str) -> "jinja2.Template":
    """Return a template of the folder ``templates``; what fills HTML is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pickllm", "publish/templates"),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)


def html(markdown: str) -> str:
    """Return the small part of Markdown that the kit's own pages use, as HTML."""
    import mistune

    return str(mistune.create_markdown(plugins=["table"])(markdown))
