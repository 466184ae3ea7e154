"""The console in a browser: how it is opened, looked at and used by keys alone."""

import base64
import json
import os
from pathlib import Path

from chromium import Browser

# Every text that is seen, and how much its colour differs from what is behind it (WCAG 2.2, 1.4.3): those that differ too little.
CONTRAST = """
(() => {
  const read = (text) => {
    const numbers = text.match(/[\\d.]+/g).map(Number);
    const [r, g, b] = text.startsWith('color(') ? numbers.slice(-4).map((part) => part * 255) : numbers;
    const alpha = /\\/|rgba/.test(text) ? numbers.at(-1) : 1;
    return [r, g, b, alpha];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((part, place) => part * a + under[place] * (1 - a));
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.unshift(read(getComputedStyle(at).backgroundColor));
    return layers.reduce((under, layer) => over(layer, under), [255, 255, 255]);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility() || element.closest('.unseen, .skip, noscript, option, :disabled')) continue;
    const style = getComputedStyle(element);
    const ground = behind(element);
    const [a, b] = [light(over(read(style.color), ground)), light(ground)].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const is_large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (is_large ? 3 : 4.5)) faint.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}, ${style.color} on ${ground}`);
  }
  return faint;
})()
"""
# What stands out to the right, though nothing around it scrolls.
SIDEWAYS = """
(() => {
  const width = document.documentElement.clientWidth;
  const scrolls = (element) => ['auto', 'scroll', 'hidden'].includes(getComputedStyle(element).overflowX);
  const is_held = (element) => element && (scrolls(element) || is_held(element.parentElement));
  const is_far = (element) => element.getBoundingClientRect().right > width + 0.5;
  const is_out = (element) => element.checkVisibility() && is_far(element) && !is_held(element.parentElement);
  return [...document.querySelectorAll('main, main *, .top *')].filter(is_out).map(({ tagName, className }) => `${tagName} ${className}`);
})()
"""
# What can be reached by keys, in their order.
REACHABLE = """
[...document.querySelectorAll('a[href], button, input, select, [tabindex="0"]')]
  .filter((element) => element.checkVisibility() && !element.disabled && element.tabIndex >= 0).length
"""
# Whether one sees where the focus is.
RINGED = """
(({ outlineStyle, outlineWidth }) => outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2)(getComputedStyle(document.activeElement))
"""
FOCUS = "(document.activeElement.id || document.activeElement.textContent || document.activeElement.tagName).trim().slice(0, 60)"


class Page:
    """The console."""

    def __init__(self, house, folder: Path):
        self.house, self.browser = house, Browser(folder)
        self.value, self.becomes = self.browser.value, self.browser.becomes

    async def open(self, view: str = ""):
        """The page, as who is not signed in sees it."""
        await self.browser.open(f"{self.house.internal}/console/{view}")
        await self.becomes("document.body && document.body.dataset.view === 'signing-in'")

    async def sign_in(self, name: str, password: str):
        """By keys alone, from the field that has the focus."""
        await self.becomes("document.activeElement.id === 'user'")
        await self.browser.write(name)
        await self.browser.press("Tab")
        await self.browser.write(password)
        await self.browser.press("Enter")
        await self.becomes("document.body.dataset.view === 'signed-in'")
        held = json.loads(await self.value("sessionStorage.getItem('homeroom.console')"))
        self.house.secrets += [token["token"] for token in held["tokens"].values()]

    async def go(self, view: str):
        """Another view, by its link and keys alone."""
        await self.value(f"document.querySelector('#views a[href=\"#{view}\"]').focus()")
        await self.browser.press("Enter")
        await self.becomes(f"document.activeElement.tagName === 'H1' && location.hash.startsWith('#{view}')")

    async def text(self, selector: str) -> str:
        """What is written there."""
        return await self.value(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    async def tile_is(self, label: str, value: str, timeout: float = 60):
        """Waits until the number of a tile is this."""
        told = f"document.querySelector('.tile[aria-label=\"{label}\"] .value')?.innerText"
        await self.becomes(f"{told} === {json.dumps(value)}", timeout)

    async def shows(self, selector: str, count: int, timeout: float = 60):
        """Waits until there are so many of these."""
        await self.becomes(f"document.querySelectorAll({json.dumps(selector)}).length === {count}", timeout)

    async def tells(self, selector: str, words: str, timeout: float = 60):
        """Waits until something is written there."""
        await self.becomes(f"document.querySelector({json.dumps(selector)})?.innerText.includes({json.dumps(words)})", timeout)

    async def give(self, selector: str, value: str):
        """Puts a value into a field, which then has the focus."""
        at = f"document.querySelector({json.dumps(selector)})"
        await self.value(f"{at}.focus(), {at}.value = {json.dumps(value)}, {at}.dispatchEvent(new Event('input'))")

    async def choose(self, label: str, value: str):
        """One of the values of a select with this label."""
        labelled = f"[...document.querySelectorAll('label')].find((one) => one.textContent.startsWith({json.dumps(label)}))"
        at = f"{labelled}.querySelector('select')"
        await self.value(f"{at}.focus(), {at}.value = {json.dumps(value)}, {at}.dispatchEvent(new Event('change'))")

    async def is_sound(self, name: str):
        """What every view keeps to, light and dark, wide and narrow: contrast, no sideways scrolling, names, tables with captions."""
        for width, dark in ((1280, False), (1280, True), (400, False), (400, True)):
            await self.browser.looks(width, dark)
            told = f"{name}, {width} px, {'dark' if dark else 'light'}"
            faint = await self.value(CONTRAST)
            assert faint == [], f"{told}: {faint}"
            assert await self.value(SIDEWAYS) == [], told
            await self.picture(f"{name}-{width}-{'dark' if dark else 'light'}")
        await self.browser.looks(1280, False)
        tree = (await self.browser.tell("Accessibility.getFullAXTree"))["nodes"]
        for node in tree:
            role, said = node.get("role", {}).get("value"), node.get("name", {}).get("value", "")
            if role in ("button", "link", "textbox", "searchbox", "combobox", "table", "region", "progressbar", "image", "navigation"):
                assert node.get("ignored") or said, f"{name}: a {role} without a name"

    async def keys_reach_all(self):
        """Tab comes by everything that can be used, and out again."""
        count, seen = await self.value(REACHABLE), 0
        await self.value("document.activeElement.blur(), document.querySelector('.skip').focus()")
        for place in range(count):
            seen += await self.value("document.activeElement.checkVisibility() && document.activeElement !== document.body")
            if place > 0:
                assert await self.value(RINGED), await self.value("document.activeElement.outerHTML.slice(0, 200)")
            await self.browser.press("Tab")
        assert seen == count

    async def picture(self, name: str):
        """Kept where `TESTS_PICTURES` says, for people to look at."""
        if folder := os.environ.get("TESTS_PICTURES"):
            whole = await self.value("document.documentElement.scrollHeight")
            width, dark = name.rsplit("-", 2)[1:]
            await self.browser.looks(int(width), dark == "dark", whole)
            shot = await self.browser.tell("Page.captureScreenshot", format="png")
            Path(folder).mkdir(parents=True, exist_ok=True)
            (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))

    async def close(self):
        """The end."""
        await self.browser.close()
