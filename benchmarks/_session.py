"""A Streamlit session without a browser: the page's own protocol over a websocket.

It sends what a browser sends (rerun with widget states) and keeps what a browser would draw (texts, widgets by
label), so that a load test can act and check what each session sees, at a fraction of a browser's cost.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

_TEXTS = {"markdown": "body", "code": "code_text", "text": "body"}


@dataclass
class Session:
    """One session.

    ``texts`` is what the last run drew, ``widgets`` maps (kind, label) to widget ids, ``runs`` counts the page's runs.
    """

    url: str
    texts: list[str] = field(default_factory=list)
    widgets: dict[tuple[str, str], str] = field(default_factory=dict)
    states: dict[str, WidgetState] = field(default_factory=dict)
    figures: int = 0
    runs: int = 0
    page: str = ""
    query: str = ""
    socket: Any = None

    async def __aenter__(self) -> "Session":
        address = self.url.replace("http", "ws", 1) + "/_stcore/stream"
        self.socket = await websockets.connect(
            address, subprotocols=["streamlit"], origin=self.url, max_size=None, ping_timeout=None
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.socket.close()

    async def open(self, page: str, query: str = "") -> float:
        """Go to a page; return seconds until it has run."""
        self.page, self.query = page, query
        self.states.clear()
        return await self._run()

    async def press(self, label: str) -> float:
        """Press the button with this label."""
        state = WidgetState(id=self.widgets["button", label], trigger_value=True)
        return await self._run(state)

    async def enter(self, label: str, value: float) -> float:
        """Put a number into the number input with this label."""
        state = WidgetState(id=self.widgets["number_input", label], double_value=value)
        self.states[state.id] = state
        return await self._run()

    async def _run(self, trigger: WidgetState | None = None) -> float:
        message = BackMsg()
        message.rerun_script.query_string = self.query
        message.rerun_script.page_name = self.page
        states = [*self.states.values(), *([trigger] if trigger else [])]
        message.rerun_script.widget_states.widgets.extend(states)
        start = time.perf_counter()
        await self.socket.send(message.SerializeToString())
        self.texts, self.widgets, self.figures = [], {}, 0
        while True:
            answer = ForwardMsg()
            answer.ParseFromString(await asyncio.wait_for(self.socket.recv(), 120))
            kind = answer.WhichOneof("type")
            if kind == "delta" and answer.delta.WhichOneof("type") == "new_element":
                self._keep(answer.delta.new_element)
            elif kind == "page_info_changed":
                self.query = answer.page_info_changed.query_string
            elif kind == "new_session":
                self.runs += 1
                self.texts, self.widgets, self.figures = [], {}, 0
            elif kind == "script_finished" and answer.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                return time.perf_counter() - start

    def _keep(self, element: Any) -> None:
        kind = element.WhichOneof("type")
        body = getattr(element, kind)
        if kind in _TEXTS:
            self.texts.append(getattr(body, _TEXTS[kind]))
        if kind in ("plotly_chart", "imgs"):
            self.figures += 1
        if getattr(body, "id", "") and getattr(body, "label", ""):
            self.widgets[kind, body.label] = body.id

    def sees(self, words: str) -> bool:
        """Whether the last run drew these words."""
        return any(words in text for text in self.texts)
