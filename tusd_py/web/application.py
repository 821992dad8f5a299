"""The aiohttp application: routes and what is around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from tusd_py.web.forms import refuse as refuse_form
from tusd_py.web.heads import head_reader, write_head
from tusd_py.web.health import Health
from tusd_py.web.keys import TALLY
from tusd_py.web.middleware import Porter, finish_headers, identify
from tusd_py.web.page import ADDRESS, ASSETS, Facts, Page
from tusd_py.web.tally import Tally
from tusd_py.web.uploads import PublishedEndpoint, UploadEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp.typedefs import Handler

    from tusd_py.core.errors import TusdError
    from tusd_py.engine.uploads import UploadEngine
    from tusd_py.protocol.cors import CorsPolicy
    from tusd_py.protocol.heads import RequestHead, Urls
    from tusd_py.protocol.tus1 import Tus1
    from tusd_py.web.forms import FormEndpoint
    from tusd_py.web.live import LiveEndpoint
    from tusd_py.web.metrics import Monitoring

_LIVE, _READY = "/healthz", "/readyz"


def make_application(
    engine: UploadEngine,
    *,
    dialect: Tus1,
    cors: CorsPolicy | None,
    network_timeout: float,
    behind_proxy: bool,
    forms: FormEndpoint,
    live: Mapping[str, LiveEndpoint] | None = None,
    monitoring: Monitoring | None = None,
    ui: bool = False,
    media: tuple[str, ...] = (),
    tally: Tally | None = None,
) -> web.Application:
    """Uploads, forms, finished files, live connections (by path), health, metrics and, with `ui`, the page.

    Times in seconds. `tally` counts the bytes of bodies.
    """
    urls = dialect.urls
    app = web.Application(
        middlewares=[
            identify(head_reader(behind_proxy=behind_proxy)),
            _porter(dialect, cors, monitoring).middleware,
        ]
    )
    app[TALLY] = tally or Tally()
    app.on_response_prepare.append(finish_headers(cors))
    # First come, first served: with a base path of "/" these go before uploads.
    _add_monitors(app, Health(engine), monitoring)
    for path, endpoint in (live or {}).items():
        _route(app, f"{path.rstrip('/')}{{slash:/?}}", endpoint.handle)
    if dialect.download:
        _route(app, f"{urls.public}{{name:[^/]+}}", PublishedEndpoint(engine, dialect).handle)
    _route(app, f"{urls.form}{{name:.*}}", forms.handle)
    uploads = UploadEndpoint(engine, dialect, network_timeout=network_timeout)
    if ui:
        _add_page(app, urls, dialect, media, uploads.handle)
    _add_uploads(app, urls, uploads.handle)
    return app


def _add_uploads(app: web.Application, urls: Urls, uploads: Handler) -> None:
    if urls.base != "/":
        _route(app, urls.base.rstrip("/"), uploads)
    _route(app, f"{urls.base}{{upload_id:.*}}", uploads)


def _add_monitors(app: web.Application, health: Health, monitoring: Monitoring | None) -> None:
    app.router.add_get(_LIVE, health.live)
    app.router.add_get(_READY, health.ready)
    if monitoring:
        app.router.add_get(monitoring.path, monitoring.handle)


def _refusing(dialect: Tus1) -> Callable[[TusdError, RequestHead], web.Response]:
    def refuse(error: TusdError, head: RequestHead) -> web.Response:
        """Below the forms' path everything is JSON."""
        if head.path.startswith(dialect.urls.form):
            return refuse_form(error, head)
        return write_head(dialect.render_error(error, head))

    return refuse


def _porter(dialect: Tus1, cors: CorsPolicy | None, monitoring: Monitoring | None) -> Porter:
    urls = dialect.urls
    return Porter(
        directions=f"uploads are created by POST to {urls.base}, finished files are under {urls.public}",
        refuse=_refusing(dialect),
        guard=cors.check if cors else None,
        unguarded=ASSETS,
        meter=monitoring.meter if monitoring else None,
        unmeasured={_LIVE, _READY, monitoring.path} if monitoring else (),
    )


def _add_page(
    app: web.Application, urls: Urls, dialect: Tus1, media: tuple[str, ...], uploads: Handler
) -> None:
    facts = Facts(
        endpoint=urls.base,
        published=urls.public if dialect.download else None,
        max_size=dialect.max_size,
        termination=dialect.termination,
        media=media,
    )
    page = Page(facts, uploads=uploads if urls.base == ADDRESS else None)
    app.on_startup.append(page.load)
    _route(app, ADDRESS, page.show)
    _route(app, f"{ASSETS}{{name:.+}}", page.send_part)


def _route(app: web.Application, path: str, handler: Handler) -> None:
    async def leave_it_to_the_body(_request: web.Request) -> None:
        """aiohttp would answer 100 before the head has been looked at; RequestBody does it after."""

    # Every method comes here: the effective one may differ from the one on the request line.
    app.router.add_route(hdrs.METH_ANY, path, handler, expect_handler=leave_it_to_the_body)
