"use strict";
const told = (unit, value) => {
  if (unit === "time") {
    for (const [least, name] of [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]]) if (value >= least) return (value / least).toPrecision(3) + " " + name;
    return value + " ns";
  }
  if (unit === "bytes") return (value / 1048576).toFixed(1) + " MiB";
  return unit === "cores" ? value.toFixed(2) : value.toLocaleString("en", { maximumFractionDigits: 1 });
};
for (const figure of document.querySelectorAll("figure.chart")) {
  const svg = figure.querySelector("svg"), cursor = svg.querySelector(".cursor"), output = figure.querySelector("output");
  const from = +svg.dataset.from, to = +svg.dataset.to, left = +svg.dataset.left, right = +svg.dataset.right;
  const lines = [...svg.querySelectorAll("path[data-points]")].map((path) => ({
    name: path.dataset.name, unit: path.dataset.unit,
    points: path.dataset.points.split(" ").map((pair) => pair.split(":")).filter((pair) => pair[1]).map((pair) => pair.map(Number)),
  })).filter((line) => line.points.length);
  let at = from;
  const show = (place) => {
    at = Math.min(to, Math.max(from, place));
    const x = left + (at - from) / (to - from) * (right - left);
    cursor.removeAttribute("hidden"); cursor.setAttribute("x1", x); cursor.setAttribute("x2", x);
    const near = lines.map((line) => {
      const point = line.points.reduce((best, one) => Math.abs(one[0] - at) < Math.abs(best[0] - at) ? one : best);
      return Math.abs(point[0] - at) <= (to - from) / 40 ? line.name + " " + told(line.unit, point[1]) : null;
    }).filter(Boolean);
    const head = svg.dataset.unit === "s" ? at.toFixed(2) + " s" : (100 - 100 * 10 ** -at).toFixed(Math.max(1, Math.ceil(at))) + " %";
    output.textContent = head + ": " + (near.join(" · ") || "nothing was measured here");
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    show(from + ((event.clientX - box.left) / box.width * 1000 - left) / (right - left) * (to - from));
  });
  figure.addEventListener("keydown", (event) => {
    const step = (to - from) / (event.shiftKey ? 10 : 100);
    const places = { ArrowLeft: at - step, ArrowRight: at + step, Home: from, End: to };
    if (event.key in places) { event.preventDefault(); show(places[event.key]); }
  });
}
for (const button of document.querySelectorAll("button[data-raw]")) {
  button.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([document.getElementById(button.dataset.raw).textContent], { type: "application/json" }));
    link.download = button.dataset.name; link.click(); URL.revokeObjectURL(link.href);
  });
}
