// Charts of what Prometheus knows, drawn anew every few seconds.
"use strict";

(() => {
  const figures = [...document.querySelectorAll("[data-chart]")];
  const minutes = document.getElementById("minutes");
  if (!figures.length) return;
  let known = {};
  const plots = new Map();

  const clock = (seconds) => new Date(1000 * seconds).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  const short = (value) => (value === null ? "" : Number(value.toPrecision(3)).toLocaleString("en"));
  const draw = () => figures.forEach((figure) => {
    const id = figure.dataset.chart;
    const chart = figure.querySelector(".chart");
    const told = known[id];
    if (plots.has(id)) plots.get(id).destroy();
    plots.delete(id);
    const names = told ? Object.keys(told.lines).sort() : [];
    const latest = figure.querySelector(".latest");
    if (!names.length) {
      latest.textContent = "no values yet";
      return;
    }
    plots.set(id, new uPlot({
      width: charts.width(chart),
      height: 180,
      legend: { show: false },
      scales: { y: { range: (_, least, most) => [Math.min(0, least), most > 0 ? most * 1.1 : 1] } },
      axes: [{ ...charts.axis(""), values: (_, ticks) => ticks.map(clock) }, { ...charts.axis(""), size: 56 }],
      series: [{}, ...names.map((name, number) => ({ label: name, stroke: charts.colour(number), width: 2, points: { show: false } }))],
    }, [told.times, ...names.map((name) => told.lines[name])], chart));
    const last = (line) => [...line].reverse().find((value) => value !== null);
    latest.replaceChildren(...names.map((name, number) => {
      const value = last(told.lines[name]);
      const dot = document.createElement("span");
      dot.textContent = "● ";
      dot.style.color = charts.colour(number);
      const item = document.createElement("span");
      item.append(dot, `${name} ${value === undefined ? "–" : short(value)}`);
      return item;
    }));
  });

  const ask = async () => {
    const box = document.getElementById("series-problem");
    try {
      const answer = await fetch(`/system/series?minutes=${minutes.value}`);
      const told = await answer.json();
      if (!answer.ok) throw new Error(`${told.title} ${told.cure}`);
      known = told;
      box.replaceChildren();
      draw();
    } catch (error) {
      const note = document.createElement("p");
      note.className = "note";
      note.setAttribute("role", "status");
      note.textContent = error instanceof TypeError ? "The console does not answer." : error.message;
      box.replaceChildren(note);
    }
  };
  charts.keep(document.getElementById("charts"), draw);
  minutes.addEventListener("change", ask);
  setInterval(() => { if (!document.hidden) ask(); }, 5000);
  ask();
})();
