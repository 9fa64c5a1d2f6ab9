// Charts in the page's own colours, light or dark.
"use strict";

const charts = (() => {
  const colours = {
    light: ["#0a6b69", "#9a5b0b", "#7247b5", "#2a62b8", "#a3271f", "#4a7a1f", "#6b7075", "#b0558f"],
    dark: ["#5cc9c3", "#e5ae5c", "#b698ee", "#86b4f5", "#ff9b8f", "#a5d172", "#a4adb3", "#eb9fd0"],
  };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  // light-dark() is resolved where a colour is used, not where a property is read
  const used = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
  };
  const colour = (number) => (dark.matches ? colours.dark : colours.light)[number % 8];
  const axis = (label) => ({
    label,
    stroke: used("--soft"),
    font: "12px system-ui, sans-serif",
    labelFont: "12px system-ui, sans-serif",
    labelSize: label ? 22 : 0,
    grid: { stroke: used("--line"), width: 1 },
    ticks: { stroke: used("--line"), width: 1 },
  });
  const width = (element) => Math.max(220, Math.floor(element.clientWidth));

  // Each user gives a function that draws anew; it is called when width or colours change.
  const keep = (element, draw) => {
    let last = 0;
    new ResizeObserver(() => {
      if (width(element) !== last) {
        last = width(element);
        draw();
      }
    }).observe(element);
    dark.addEventListener("change", draw);
  };
  return { axis, colour, keep, style, width };
})();
