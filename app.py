"""The page frame: configuration, look, safety banner, sign-in and navigation. Start it with `python -m core serve`."""

from pathlib import Path

import streamlit as st

from core.exposure import refuse_open_door
from core.settings import get_settings
from pages.shared import audience, banner, errors, garbage, navigation, sign_in, tour, url

ASSETS = Path(__file__).resolve().parent / "assets"

garbage.settle()
st.set_page_config(
    page_title="Chartlight",
    page_icon=str(ASSETS / "icons" / "chartlight.svg"),
    layout="wide",
    initial_sidebar_state=232,
    menu_items={"About": "Chartlight shows what a clinical model reads in a chart and looks at in a scan."},
)
st.logo(
    str(ASSETS / "icons" / "chartlight-wordmark.svg"),
    size="large",
    icon_image=str(ASSETS / "icons" / "chartlight.svg"),
)
st.html(ASSETS / "style.css")
banner.show()
with errors.guard():
    page = st.navigation(navigation.pages(sign_in.who()), expanded=True)
    refuse_open_door(st.get_option("server.address") or "", get_settings())  # however the server was started
    sign_in.require(page.url_path)
    audience.switch()
    tour.show(page.url_path)
    page.run()
    url.write()  # what every address carries, where the page writes none
