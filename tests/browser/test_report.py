"""The page as readers use it: on a desktop, on a phone, by keyboard, in the dark and on paper."""

from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import pandas as pd
import pytest
from playwright.sync_api import Page

from accelerated_smoothing import papers

TABLES = [name for name in papers.items("") if name.startswith("table")]
FIGURES = [name for name in papers.items("") if name.startswith("figure")]

# Contrast of every piece of text with what is painted behind it, as WCAG 2 defines it.
CONTRASTS = """() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = colour => parts(colour).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const painted = colour => colour !== 'none' && (parts(colour)[3] ?? 1) > 0;
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const box = e.tagName === 'a' && e.querySelector('rect');
      const colour = box ? getComputedStyle(box).fill : getComputedStyle(e).backgroundColor;
      if (painted(colour)) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const contrasts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim()) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(element.tagName === 'text' ? style.fill : style.color), light(behind(element))];
    contrasts.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), walker.currentNode.data.trim().slice(0, 40)]);
  }
  return contrasts;
}"""
WIDE = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"


def test_nothing_goes_wrong_and_nothing_is_fetched(visit) -> None:
    assert visit.page.evaluate("document.fonts.ready.then(() => document.readyState)") == "complete"
    assert visit.page.locator("script").count() == 0
    assert visit.faults == []


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_its_name_and_all_rows_and_columns(visit, name: str) -> None:
    values = pd.read_csv(visit.results / f"{name}.csv")
    table = visit.page.get_by_role("table", name=papers.table(name).title, exact=True)
    assert table.count() == 1
    assert table.locator("tbody tr:has(td)").count() == len(values)
    headers = table.get_by_role("columnheader").all_inner_texts()
    added = {"guarantee", "exceeds"} - set(values) if "method" in values else set()
    assert len(headers) == len(values.columns) - len(papers.table(name).keys[:-1]) + len(added)
    assert added <= set(headers)
    for row in table.locator("tbody tr:has(td)").all():
        assert row.get_by_role("rowheader").count() == 1
        assert row.locator("td").count() == len(headers) - 1


@pytest.mark.parametrize("name", ["table1", "table2", "table3", "table6"])
def test_every_method_has_its_guarantee(visit, name: str) -> None:
    words = pd.read_csv(visit.results / "table1.csv").set_index("method")["guarantee"].to_dict()
    for row in visit.page.locator(f"#{name} tbody tr:has(td)").all():
        method = row.locator("th").inner_text().split()[0]
        assert row.locator("td.word").inner_text().split() == [words[method]]
        exceeds = row.locator("td").last.inner_text().strip()
        assert exceeds.endswith("%") == (words[method] == "estimated")


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_shown_and_described(visit, name: str) -> None:
    image = visit.page.locator(f"#{name} img")
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    assert len(image.get_attribute("alt") or "") > 60
    assert visit.page.get_by_role("img", name=image.get_attribute("alt")).count() == 1


def test_every_link_leads_somewhere(visit) -> None:
    links = visit.page.evaluate("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    assert len(links) > 40
    for link in links:
        file, anchor = urldefrag(link)
        if file:
            assert not urlparse(file).scheme
            assert (visit.results / unquote(file)).is_file(), link
        else:
            assert visit.page.locator(f"[id='{anchor}']").count() == 1, link


def test_ids_are_unique_and_labels_exist(visit) -> None:
    ids = visit.page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    labels = visit.page.evaluate(
        "[...document.querySelectorAll('[aria-labelledby]')].map(e => e.getAttribute('aria-labelledby'))"
    )
    assert set(labels) <= set(ids)


def test_headings_are_in_order(visit) -> None:
    levels = [
        int(tag[1]) for tag in visit.page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(e => e.tagName)")
    ]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_page_never_scrolls_sideways(visit) -> None:
    assert not visit.page.evaluate(WIDE)
    visit.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert not visit.page.evaluate(WIDE)
    visit.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = false)")


def test_every_origin_opens_by_keyboard(visit) -> None:
    summaries = visit.page.locator("summary").all()
    assert len(summaries) == len(TABLES) + len(FIGURES) + 2
    for summary in summaries:
        summary.focus()
        visit.page.keyboard.press("Enter")
        assert summary.evaluate("summary => summary.parentElement.open")
        body = summary.locator("xpath=..").inner_text()
        assert "accelerated-smoothing " in body
        assert "results/tiny/" in body
        visit.page.keyboard.press("Enter")
        assert not summary.evaluate("summary => summary.parentElement.open")


def test_whatever_can_be_used_is_reached_by_tab_and_seen(visit) -> None:
    visit.page.evaluate("document.activeElement.blur(); getSelection().removeAllRanges(); scrollTo(0, 0)")
    usable = "[...document.querySelectorAll('a, summary, [role=region]')].filter(e => e.checkVisibility())"
    wanted = visit.page.evaluate(f"{usable}.map((e, i) => e.dataset.stop = i).length")
    visit.page.locator("h1").click()  # where the keyboard starts
    visit.page.keyboard.press("Shift+Tab")
    assert visit.page.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(wanted):
        stop, outline = visit.page.evaluate(
            "[document.activeElement.dataset.stop, getComputedStyle(document.activeElement).outlineStyle]"
        )
        reached.add(stop)
        assert outline not in ("none", None)
        visit.page.keyboard.press("Tab")
    assert reached == {str(stop) for stop in range(wanted)}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(visit, scheme: str) -> None:
    visit.page.emulate_media(color_scheme=scheme)
    contrasts = visit.page.evaluate(CONTRASTS)
    assert len(contrasts) > 300
    assert not [(round(ratio, 2), text) for ratio, text in contrasts if ratio < 4.5]
    assert (
        visit.page.locator("figure img").first.evaluate("e => getComputedStyle(e).backgroundColor")
        == "rgb(255, 255, 255)"
    )
    visit.page.emulate_media(color_scheme="light")


def test_it_is_drawn_in_the_dark_and_on_paper(visit, tmp_path: Path) -> None:
    page: Page = visit.page
    light = page.screenshot(full_page=True)
    page.emulate_media(color_scheme="dark")
    dark = page.screenshot(full_page=True)
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not [text for ratio, text in page.evaluate(CONTRASTS) if ratio < 4.5]
    paper = page.pdf(prefer_css_page_size=True)
    page.emulate_media(media="screen", color_scheme="light")
    assert min(len(light), len(dark)) > 100_000
    assert light != dark
    assert paper.startswith(b"%PDF")
    assert len(paper) > 50_000
