// Tiles of live cameras: words come as events, pictures one at a time for each tile.
"use strict";

(() => {
  const tiles = document.getElementById("tiles");
  const template = document.getElementById("tile");
  const path = document.getElementById("path");
  const outage = document.getElementById("outage");
  const known = new Map();

  const add = (name) => {
    const tile = template.content.firstElementChild.cloneNode(true);
    tile.dataset.camera = name;
    tile.querySelector("h2").textContent = name;
    tile.querySelector("button").addEventListener("click", (event) => {
      const large = tile.classList.toggle("large");
      event.currentTarget.setAttribute("aria-pressed", String(large));
      event.currentTarget.textContent = large ? "Smaller" : "Larger";
    });
    tiles.append(tile);
    const state = { tile, shown: "", loading: false, told: null };
    known.set(name, state);
    return state;
  };

  // The next picture is asked for when the last one is there: a slow decoder is not asked for more than it can.
  const look = (state) => {
    const { told, tile } = state;
    const wanted = `/cameras/${encodeURIComponent(told.name)}/frame.png?path=${path.value}&sequence=${told.session}.${told.sequence}`;
    if (state.loading || state.shown === wanted) return;
    state.loading = true;
    const next = new Image();
    const done = (there) => {
      state.loading = false;
      if (there) {
        state.shown = wanted;
        const image = tile.querySelector("img");
        image.width = told.width;
        image.height = told.height;
        image.src = next.src;
        image.alt = `What ${told.name} saw, along the path ${path.value}`;
        look(state);
      }
    };
    next.addEventListener("load", () => done(true));
    next.addEventListener("error", () => done(false));
    next.src = wanted;
  };

  const show = (told) => {
    const state = known.get(told.name) || add(told.name);
    state.told = told;
    const { tile } = state;
    tile.classList.toggle("silent", told.silent);
    tile.querySelector(".age").textContent = told.silent ? `silent for ${told.age}` : `${told.age} ago`;
    tile.querySelector(".facts").textContent = told.facts;
    tile.querySelector(".rate").textContent = told.rate;
    tile.querySelector("dl").replaceChildren(...told.answers.map((answer) => {
      const row = document.createElement("div");
      const term = document.createElement("dt");
      term.textContent = answer.task;
      const words = document.createElement("dd");
      words.textContent = answer.words;
      row.append(term, words);
      return row;
    }));
    look(state);
  };

  const warn = (text) => {
    if (outage.textContent === text) return;
    outage.replaceChildren();
    if (!text) return;
    const box = document.createElement("div");
    box.className = "problem";
    box.textContent = text;
    outage.append(box);
  };

  let source = null;
  const open = () => {
    source = new EventSource("/cameras/events");
    source.addEventListener("scene", (event) => {
      const scene = JSON.parse(event.data);
      warn(scene.outage);
      document.getElementById("nobody").hidden = scene.cameras.length > 0;
      scene.cameras.forEach(show);
    });
    source.addEventListener("error", () => warn("The console does not answer; this page tries again by itself."));
  };
  const close = () => {
    if (source) source.close();
    source = null;
  };
  path.addEventListener("change", () => {
    history.replaceState(null, "", `?path=${path.value}`);
    known.forEach(look);
  });
  // nobody looks: nothing is asked for
  document.addEventListener("visibilitychange", () => {
    close();
    if (!document.hidden) open();
  });
  open();
})();
