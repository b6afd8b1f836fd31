"use strict";
(function () {
  const root = document.documentElement;
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const config = { displayModeBar: false, showTips: false };
  const paperWidth = 660;

  // A text such as "--ok" is a variable of the style sheet, so that the charts follow light, dark and paper.
  function withColours(value, style) {
    if (Array.isArray(value)) return value.map((item) => withColours(item, style));
    if (value !== null && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withColours(item, style)]));
    }
    const isName = typeof value === "string" && value.startsWith("--");
    return isName ? style.getPropertyValue(value).trim() : value;
  }

  function draw() {
    const style = getComputedStyle(root);
    const isPrinting = root.classList.contains("printing");
    const isTouched = matchMedia("(pointer: coarse)").matches;
    return Promise.all(Object.entries(figures).map(([name, figure]) => {
      const place = document.getElementById("chart-" + name);
      const { data, layout } = withColours(figure, style);
      layout.width = isPrinting ? paperWidth : place.clientWidth;
      layout.dragmode = isTouched ? false : "zoom"; // a finger scrolls the page
      return Plotly.react(place, data, layout, config);
    }));
  }

  function drawSoon() {
    requestAnimationFrame(draw);
  }

  root.classList.add("scripted");
  draw().then(() => { root.dataset.charts = "drawn"; });
  new ResizeObserver(drawSoon).observe(document.querySelector("main"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawSoon);
  addEventListener("beforeprint", () => {
    root.classList.add("printing");
    draw(); // at once: the paper does not wait
  });
  addEventListener("afterprint", () => {
    root.classList.remove("printing");
    drawSoon();
  });
})();
