// A measurement: points come as events, the chart and the table grow with them.
"use strict";

(() => {
  const begin = (section) => {
    const words = section.querySelector(".words");
    const progress = section.querySelector("progress");
    const button = section.querySelector("[data-cancel]");
    const chart = section.querySelector(".chart");
    const rows = section.querySelector("tbody");
    const curves = new Map();
    const address = `/curves/${section.dataset.curve}`;
    let plot = null;

    const draw = () => {
      if (plot) plot.destroy();
      const names = [...curves.keys()];
      if (!names.length) return;
      const tables = names.map((name) => {
        const points = [...curves.get(name)].sort((a, b) => a.bpp - b.bpp);
        return [points.map((point) => point.bpp), points.map((point) => point.psnr)];
      });
      const classic = new Set(["JPEG", "WebP", "AVIF"]);
      const data = uPlot.join(tables);
      plot = new uPlot({
        width: charts.width(chart),
        height: 420,
        scales: { x: { time: false, distr: 3, log: 2 } },
        axes: [
          { ...charts.axis("bits per pixel"), values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : Number(tick.toPrecision(2)))) },
          charts.axis("PSNR, dB"),
        ],
        series: [
          { label: "bpp", value: (_, value) => (value === null ? "" : value.toFixed(3)) },
          ...names.map((name, number) => ({
            label: name,
            stroke: charts.colour(number),
            width: classic.has(name) ? 1.5 : 2.5,
            dash: classic.has(name) ? [6, 4] : undefined,
            spanGaps: true,
            points: { show: true, size: 6 },
            value: (_, value) => (value === null ? "" : `${value.toFixed(2)} dB`),
          })),
        ],
      }, data, chart);
    };
    charts.keep(chart, draw);

    const source = new EventSource(`${address}/events`);
    source.addEventListener("points", (event) => {
      const news = JSON.parse(event.data);
      if (news.done === news.points.length) { // from the beginning, after a lost connection too
        curves.clear();
        rows.replaceChildren();
      }
      progress.value = news.done;
      words.textContent = `${news.done} of ${news.total} points`;
      for (const point of news.points) {
        if (!curves.has(point.curve)) curves.set(point.curve, []);
        curves.get(point.curve).push(point);
        const row = document.createElement("tr");
        const cells = [point.curve, point.quality, point.bytes.toLocaleString("en"), point.bpp.toFixed(4), point.psnr.toFixed(2)];
        cells.forEach((text, number) => {
          const cell = document.createElement(number ? "td" : "th");
          cell.textContent = text;
          if (number) cell.className = "number"; else cell.scope = "row";
          row.append(cell);
        });
        rows.append(row);
      }
      draw();
    });
    source.addEventListener("end", (event) => {
      source.close();
      const end = JSON.parse(event.data);
      button.remove();
      const told = { done: "done", cancelled: "cancelled", failed: `${end.title} ${end.cure}` };
      words.textContent = `${words.textContent}, ${told[end.state]}`;
      section.dataset.state = end.state;
    });
    button.addEventListener("click", () => fetch(address, { method: "DELETE" }));
  };

  document.addEventListener("htmx:after:swap", () => {
    document.querySelectorAll("[data-curve]:not([data-state])").forEach((section) => {
      section.dataset.state = "running";
      begin(section);
    });
  });
})();
