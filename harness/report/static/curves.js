// Curves of the best score so far, with intervals; agents are toggled by check boxes.
(function () {
  const { data, el, state } = AT;
  const best = Math.min(5, data.agents.length);
  const firstShown = () => {
    const shown = new Set(data.agents.slice(0, best).map((_, i) => i));
    const random = data.agents.findIndex((agent) => agent.name === "random");
    if (random >= 0) shown.add(random);
    return shown;
  };
  state.agents = firstShown();
  // A task of two stages first, since its landscape says the most.
  state.problem = Math.max(0, data.landscapes.findIndex((ground) => ground && ground.stages.length > 1));

  // Check boxes -------------------------------------------------------------------------------------

  const box = AT.byId("agents-shown");
  const swatch = (i) => {
    const line = el("span", { class: "swatch", "aria-hidden": "true" });
    line.style.borderTopStyle = { solid: "solid", dash: "dashed", dot: "dotted", dashdot: "dashed" }[AT.dash(i)];
    return line;
  };
  const boxes = data.agents.map((agent, i) => {
    const input = el("input", { type: "checkbox", onchange: () => {
      const shown = new Set(state.agents);
      if (input.checked) shown.add(i);
      else shown.delete(i);
      AT.change({ agents: shown });
    } });
    const line = swatch(i);
    box.append(el("label", { class: "check" }, input, line, agent.label));
    return { input, line };
  });
  const set = (agents) => AT.change({ agents: new Set(agents) });
  AT.byId("agents-buttons").append(
    ...[
      [`best ${best}`, () => set(firstShown())],
      ["all", () => set(data.agents.map((_, i) => i))],
      ["none", () => set([])],
    ].map(([text, onclick]) => el("button", { type: "button", class: "small", onclick }, text)),
  );

  // The figure --------------------------------------------------------------------------------------

  const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;

  function series(curves, agent, view, by, problem) {
    if (view === "reached") {
      const runs = curves.reached[agent] || [];
      const x = curves.trials;
      return { x, mean: x.map((t) => runs.filter((r) => r !== null && r <= t).length / runs.length) };
    }
    const held = (by === "hours" ? curves.by_hour : curves.by_trial)[agent];
    if (!held) return null;
    const x = by === "hours" ? curves.hours : curves.trials;
    if (view === "score") return { x, mean: held[0], low: held[1], high: held[2] };
    const regret = (values) => values.map((v) => Math.max(problem.optimum - v, 0));
    return { x, mean: regret(held[0]), low: regret(held[2]), high: regret(held[1]) };
  }

  function draw(theme, saving) {
    const problem = data.problems[state.problem];
    const curves = data.curves[state.problem];
    const view = chosen("view");
    const by = view === "reached" ? "trials" : chosen("by");
    const dark = theme.paper !== "#ffffff";
    const traces = [];
    const shown = data.agents.map((_, i) => i).filter((i) => state.agents.has(i) && curves.reached[i]);
    for (const i of shown) {
      const line = series(curves, i, view, by, problem);
      const colour = AT.colour(i, dark);
      const shape = view === "reached" ? "hv" : by === "hours" ? "hv" : "linear";
      if (line.low) {
        traces.push({
          x: [...line.x, ...[...line.x].reverse()], y: [...line.high, ...[...line.low].reverse()],
          fill: "toself", fillcolor: AT.faint(colour, shown.length > 6 ? 0.08 : 0.14), line: { width: 0 },
          mode: "lines", hoverinfo: "skip", showlegend: false, type: "scatter",
        });
      }
      traces.push({
        x: line.x, y: line.mean, mode: "lines", type: "scatter", name: plain(data.agents[i].label),
        line: { color: colour, width: 2.2, dash: AT.dash(i), shape },
        customdata: line.low ? line.low.map((low, k) => [low, line.high[k]]) : undefined,
        hovertemplate: line.low
          ? "%{y:.4f} (%{customdata[0]:.4f}–%{customdata[1]:.4f})" : "%{y:.0%}",
      });
    }
    const titles = { score: `best ${problem.metric} so far`, regret: "regret", reached: "share of runs at the optimum" };
    const shapes = view === "score" ? [{
      type: "line", xref: "paper", x0: 0, x1: 1, y0: problem.optimum, y1: problem.optimum,
      line: { color: theme.soft, width: 1.2, dash: "dash" },
    }] : [];
    const annotations = view === "score" ? [{
      xref: "paper", x: 0.005, y: problem.optimum, text: "optimum", showarrow: false, xanchor: "left",
      yanchor: "bottom", font: { size: 11, color: theme.soft },
    }] : [];
    const layout = AT.layout(theme, {
      height: AT.narrow() && !saving ? 340 : 440, hovermode: "x unified", shapes, annotations,
      xaxis: {
        title: { text: by === "hours" ? "simulated search hours" : "trials" },
        type: by === "hours" && curves.hours.length > 1 ? "log" : "linear",
        ...(by === "hours" ? AT.logTicks(curves.hours) : {}), hoverformat: by === "hours" ? ".3g" : "d",
      },
      yaxis: {
        title: { text: titles[view] }, ...(view === "reached" ? { range: [-0.02, 1.02], tickformat: ".0%" } : {}),
        ...(view === "regret" ? { rangemode: "tozero" } : {}),
      },
      legend: AT.legend.legend,
    });
    const ends = shown.map((i) => {
      const line = series(curves, i, view, by, problem);
      return `${data.agents[i].label} ${AT.short(line.mean[line.mean.length - 1])}`;
    });
    const text = `${titles[view]} by ${by} on ${AT.problemName(problem)}. At the end: ${ends.join("; ")}.`;
    return { data: traces, layout, text, legend: true };
  }

  // Plotly reads a few tags in names; a name is shown as it is.
  function plain(text) {
    return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  }
  AT.plain = plain;

  const figure = AT.figure({ id: "curves-figure", name: "the curves", draw });

  function table() {
    const problem = data.problems[state.problem];
    const curves = data.curves[state.problem];
    const last = curves.trials.length - 1;
    const wanted = [1, 5, 10, 20, 50].map((t) => curves.trials.indexOf(t)).filter((k) => k >= 0);
    if (!wanted.includes(last)) wanted.push(last);
    const rows = data.agents.map((_, i) => i).filter((i) => curves.by_trial[i]);
    AT.figureTable("curves-table", [
      { head: "agent", text: (i) => data.agents[i].label },
      ...wanted.map((k) => ({
        head: `trial ${curves.trials[k]}`, text: (i) => curves.by_trial[i][0][k].toFixed(4),
      })),
    ], rows);
    AT.byId("curves-table").querySelector("caption, summary").textContent =
      `The same as a table: mean best ${problem.metric} so far`;
  }

  function show(changes) {
    boxes.forEach(({ input, line }, i) => {
      input.checked = state.agents.has(i);
      line.style.borderTopColor = AT.colour(i);
      input.parentElement.classList.toggle("absent", !data.curves[state.problem].reached[i]);
    });
    const badge = AT.byId("curves-kind");
    badge.replaceChildren(AT.badge(data.problems[state.problem].kind));
    if (!changes || changes.problem !== undefined) table();
    AT.refresh(figure);
  }

  AT.problemSelect(AT.byId("curves-problem"));
  for (const input of document.querySelectorAll('input[name="view"], input[name="by"]')) {
    input.addEventListener("change", () => AT.refresh(figure));
  }
  AT.onChange(show);
  show();
})();
