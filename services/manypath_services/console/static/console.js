// What the pages cannot do without script: the divider, sizes, files that are dropped, pasted or taken, copies.
"use strict";

(() => {
  const byId = (id) => document.getElementById(id);
  const controls = byId("controls");

  // ---- everywhere: copies
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-link]");
    if (!button) return;
    const text = button.hasAttribute("data-copy-link") ? location.href : button.parentElement.querySelector("code").textContent;
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "The browser does not let us copy";
    }
    setTimeout(() => { button.textContent = before; }, 1500);
  });

  if (!controls) return;

  // ---- the divider: a range input over the picture, so that keys, mouse and touch all move it
  const stage = byId("stage");
  let split = 500;
  const place = () => {
    const frames = byId("frames");
    if (!frames) return;
    frames.style.setProperty("--split", `${split / 10}%`);
    frames.style.setProperty("--ratio", String(Number(frames.dataset.width) / Number(frames.dataset.height)));
    const input = byId("split");
    input.value = String(split);
    input.setAttribute("aria-valuetext", `${Math.round(split / 10)} percent from the left`);
    const factor = Number(stage.dataset.zoom);
    if (factor) frames.style.setProperty("--zoom-width", `${Number(frames.dataset.width) * factor}px`);
  };
  document.addEventListener("input", (event) => {
    if (event.target.id !== "split") return;
    split = Number(event.target.value);
    place();
  });

  document.querySelectorAll(".zoom [data-zoom]").forEach((button) => button.addEventListener("click", () => {
    stage.dataset.zoom = button.dataset.zoom;
    document.querySelectorAll(".zoom [data-zoom]").forEach((one) => one.setAttribute("aria-pressed", String(one === button)));
    place();
  }));

  // ---- words beside the sliders; the main path has no side, so no share
  const words = () => {
    document.querySelectorAll("output[for]").forEach((output) => { output.value = byId(output.htmlFor.value).value; });
    const path = controls.querySelector("[name=path]:checked");
    byId("share").disabled = Boolean(path) && !path.hasAttribute("data-side");
  };
  controls.addEventListener("input", words);
  words();

  // ---- a picture is there: place the divider, tell screen readers what it costs
  const shown = () => {
    place();
    const frames = byId("frames");
    if (frames) byId("said").textContent = frames.dataset.said;
  };
  document.body.addEventListener("shown", shown);
  shown(); // htmx may have brought one before this script came

  const ask = () => controls.dispatchEvent(new Event("input", { bubbles: true }));
  const choose = (select, value) => {
    select.value = value;
    ask();
    stage.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("click", (event) => {
    const photo = event.target.closest("[data-picture]");
    if (photo) {
      byId("picture").value = photo.dataset.picture;
      ask();
    }
    const left = event.target.closest("[data-left]");
    if (left) choose(byId("left"), left.dataset.left);
    const layer = event.target.closest("[data-layer]");
    if (layer) choose(byId("layer"), layer.dataset.layer);
  });
  // these two stand outside of the form that they belong to
  for (const id of ["left", "layer"]) {
    document.addEventListener("change", (event) => { if (event.target.id === id) ask(); });
  }

  // ---- files: dropped, pasted, chosen, taken
  const upload = byId("upload");
  const file = byId("file");
  const refuse = (title, cure) => {
    const box = document.createElement("div");
    box.className = "problem";
    box.setAttribute("role", "alert");
    const head = document.createElement("h2");
    head.textContent = title;
    const line = document.createElement("p");
    line.textContent = cure;
    box.append(head, line);
    byId("view").replaceChildren(box);
  };
  const send = (blob, name) => {
    const limit = Number(upload.dataset.limit);
    if (blob.size > limit) {
      refuse("The file is too large.", `At most ${limit.toLocaleString("en")} bytes are taken here. Send a smaller one.`);
      return;
    }
    const transfer = new DataTransfer();
    transfer.items.add(new File([blob], name || blob.name || "picture", { type: blob.type }));
    file.files = transfer.files;
    upload.requestSubmit();
  };
  file.addEventListener("change", (event) => {
    event.stopPropagation(); // send() looks at its size first
    if (file.files.length) send(file.files[0]);
  });
  // the same file may be chosen twice in a row
  file.addEventListener("click", () => { file.value = ""; });
  const picked = (list) => Array.from(list || []).find((one) => one.type.startsWith("image/")) || (list || [])[0];
  window.addEventListener("dragover", (event) => { event.preventDefault(); stage.classList.add("over"); });
  window.addEventListener("dragleave", (event) => { if (!event.relatedTarget) stage.classList.remove("over"); });
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("over");
    const blob = picked(event.dataTransfer.files);
    if (blob) send(blob);
  });
  window.addEventListener("paste", (event) => {
    const blob = picked(event.clipboardData && event.clipboardData.files);
    if (blob) {
      event.preventDefault();
      send(blob, blob.name || "pasted");
    }
  });

  // ---- the browser's camera
  const dialog = byId("camera");
  const video = byId("camera-video");
  const say = (text) => { byId("camera-words").textContent = text; };
  const stop = () => {
    if (video.srcObject) video.srcObject.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  };
  byId("camera-open").addEventListener("click", async () => {
    dialog.showModal();
    if (!navigator.mediaDevices) {
      say("Browsers give their camera only to localhost and to pages over HTTPS.");
      return;
    }
    say("Waiting for the camera …");
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "environment" } });
      say("");
    } catch (error) {
      say(error.name === "NotFoundError" ? "This machine has no camera." : "The browser did not give us the camera. Allow it in the address bar, then try again.");
    }
  });
  byId("camera-take").addEventListener("click", () => {
    if (!video.videoWidth) return;
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => {
      dialog.close();
      send(blob, "camera.png");
    }, "image/png");
  });
  byId("camera-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", stop);
})();
