// Draws the plots and structures of a page from the JSON it carries, and keeps the progress of a campaign live.
"use strict";

const read = (element) => JSON.parse(element.querySelector("script[type='application/json']").textContent);
const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;

function drawPlot(element) {
  const figure = read(element);
  const canvas = element.querySelector(".canvas");
  const options = { displaylogo: false, responsive: true, displayModeBar: false };
  Plotly.newPlot(canvas, figure.data, figure.layout, options).then(() => {
    canvas.on("plotly_click", (event) => {
      const id = event.points[0].customdata;
      if (id) openStructure(id);
    });
    element.dataset.ready = "yes";
  });
  const slider = element.querySelector("input[type=range]");
  if (!slider) return;
  slider.addEventListener("input", () => {
    const frame = figure.frames[Number(slider.value)];
    element.querySelector("output").textContent = frame.name;
    slider.setAttribute("aria-valuetext", `round ${frame.name}`);
    Plotly.react(canvas, frame.data, figure.layout, options);
  });
}

function openStructure(id) {
  if (location.protocol === "file:") document.getElementById(id)?.scrollIntoView();
  else location.href = `/structures/${encodeURIComponent(id)}`;
}

const STYLES = {
  ball: { stick: { radius: 0.1, colorscheme: "Jmol" }, sphere: { scale: 0.28, colorscheme: "Jmol" } },
  space: { sphere: { scale: 0.8, colorscheme: "Jmol" } },
};

function drawStructure(element) {
  const scene = read(element);
  const canvas = element.querySelector(".canvas");
  if (!hasWebGL()) {
    canvas.textContent = "This browser draws no WebGL; the structure can be downloaded below.";
    return;
  }
  const viewer = $3Dmol.createViewer(canvas, { backgroundColor: "#fbfcfd" });
  const state = { style: "ball", mode: false };
  const show = () => {
    viewer.stopAnimate();
    viewer.removeAllModels();
    viewer.removeAllShapes();
    const shown = state.mode ? scene.mode : scene;
    if (state.mode) viewer.addModelsAsFrames(shown.xyz, "xyz");
    else viewer.addModel(shown.xyz, "xyz");
    viewer.setStyle({}, STYLES[state.style]);
    for (const [start, end] of shown.edges) viewer.addLine({ start: point(start), end: point(end), color: "#52606d" });
    viewer.zoomTo();
    viewer.zoom(0.9);
    viewer.render();
    if (state.mode && !still) viewer.animate({ loop: "forward", interval: 70, reps: 0 });
  };
  for (const button of element.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      if ("mode" in button.dataset) state.mode = !state.mode;
      else state.style = button.dataset.style;
      for (const other of element.querySelectorAll("button")) {
        const on = "mode" in other.dataset ? state.mode : other.dataset.style === state.style;
        other.setAttribute("aria-pressed", String(on));
      }
      show();
    });
  }
  viewer.rotate(-80, "x");
  viewer.rotate(15, "y");
  viewer.rotate(8, "x");
  show();
  element.dataset.ready = "yes";
}

const point = ([x, y, z]) => ({ x, y, z });

function hasWebGL() {
  const probe = document.createElement("canvas");
  return Boolean(probe.getContext("webgl2") || probe.getContext("webgl"));
}

function keepLive(section) {
  const source = new EventSource(section.dataset.events);
  source.addEventListener("progress", (event) => {
    section.querySelector("[data-live]").innerHTML = JSON.parse(event.data);
    section.dataset.updates = Number(section.dataset.updates || 0) + 1;
  });
  source.addEventListener("ended", () => source.close());
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".plot").forEach(drawPlot);
  document.querySelectorAll(".viewer").forEach(drawStructure);
  document.querySelectorAll("[data-events]").forEach(keepLive);
});
