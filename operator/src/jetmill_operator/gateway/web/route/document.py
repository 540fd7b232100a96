"""The API's own description: for programs as OpenAPI 3.1, for people as a page that works without the Internet."""

from __future__ import annotations

from typing import Any

from litestar import MediaType, Request, Response, get

from jetmill_operator.gateway.access.right import PUBLIC
from jetmill_operator.gateway.web.page import POLICY, render_page

Asked = Request[Any, Any, Any]


@get("/api/v1/openapi.json", opt={"right": PUBLIC}, include_in_schema=False)
async def get_document(request: Asked) -> Response[dict[str, Any]]:
    """The same for everybody: it says what could be done, not by whom."""
    return Response(request.app.state.document(), media_type="application/vnd.oai.openapi+json;version=3.1")


@get("/api/v1/docs", opt={"right": PUBLIC}, include_in_schema=False)
async def get_page(request: Asked) -> Response[str]:
    """The same as a page."""
    page = render_page(request.app.state.document())
    return Response(page, media_type=MediaType.HTML, headers={"Content-Security-Policy": POLICY})


HANDLERS = [get_document, get_page]
