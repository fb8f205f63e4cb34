// A landscape of one or two stages, and an agent's path over it, step by step.
(function () {
  const { data, el, state } = AT;
  const OVER = -1;
  const HOLE = -2;
  const TRAIL = 6;
  const path = { agent: 0, run: 0, step: 1 };
  const controls = {
    agent: AT.byId("path-agent"), run: AT.byId("path-run"), slider: AT.byId("path-step"),
    play: AT.byId("path-play"), text: AT.byId("path-text"),
  };
  let playing = null;

  const landscape = () => data.landscapes[state.problem];
  const paths = () => data.paths[state.problem];
  const runsOf = (agent) => paths().runs.filter((run) => run.agent === agent);
  const run = () => runsOf(path.agent)[path.run] || null;
  const text = (index) => (index < 0 ? "" : paths().texts[index]);

  // Where a choice of one stage lies on its axis: between the shown sample counts by logarithm.
  function position(stage, choice) {
    if (!choice) return null;
    const model = stage.models.indexOf(choice[0]);
    if (model < 0) return null;
    const counts = stage.samples;
    let k = counts.findIndex((count) => count >= choice[1]);
    if (k < 0) k = counts.length - 1;
    const exact = counts[k] === choice[1] || k === 0;
    const part = exact ? k
      : k - 1 + Math.log(choice[1] / counts[k - 1]) / Math.log(counts[k] / counts[k - 1]);
    return model * counts.length + part;
  }

  function place(shape, name) {
    const choices = AT.parse(name);
    const [first, second] = shape.stages;
    if (!second) {
      const choice = choices.get(first.name);
      return choice ? { model: choice[0], x: choice[1], y: null } : null;
    }
    const y = position(first, choices.get(first.name));
    const x = position(second, choices.get(second.name));
    return x === null || y === null ? null : { x, y };
  }

  // Without the table there is still where the path went: its own trials make the grid.
  function visited() {
    const names = new Map();
    for (const one of paths().runs) {
      for (const index of one.asked) {
        for (const [stage, [model, samples]] of AT.parse(text(index))) {
          if (!names.has(stage)) names.set(stage, { name: stage, models: [], samples: [] });
          const entry = names.get(stage);
          if (!entry.models.includes(model)) entry.models.push(model);
          if (!entry.samples.includes(samples)) entry.samples.push(samples);
        }
      }
    }
    const stages = [...names.values()].slice(0, 2);
    for (const stage of stages) stage.samples.sort((a, b) => a - b);
    const size = (stage) => (stage ? stage.models.length * stage.samples.length : 1);
    const shape = stages[1] ? [size(stages[0]), size(stages[1])] : [1, size(stages[0])];
    return {
      stages, others: [...names.keys()].slice(2), shape, z: new Array(shape[0] * shape[1]).fill(HOLE),
      low: 0, high: 1, optimum: "", optimum_score: null, unknown: true,
    };
  }

  const cache = new Map();
  function shape() {
    if (!cache.has(state.problem)) cache.set(state.problem, landscape() || visited());
    return cache.get(state.problem);
  }

  const optionName = (stage, option) => {
    const model = stage.models[Math.floor(option / stage.samples.length)];
    return `${stage.name}: ${model} × ${stage.samples[option % stage.samples.length]}`;
  };

  // The path so far: where each trial lies, and which of them became the incumbent.
  function steps(ground) {
    const taken = run();
    if (!taken) return [];
    let best = -Infinity;
    const found = [];
    for (let k = 0; k < Math.min(path.step, taken.asked.length); k += 1) {
      const score = taken.score[k];
      const whole = !(taken.flags[k] & 4);
      const better = score !== null && whole && score > best;
      if (better) best = score;
      found.push({
        k, better, score, best: best === -Infinity ? null : best, feasible: Boolean(taken.flags[k] & 1),
        at: place(ground, text(taken.asked[k])),
      });
    }
    return found;
  }

  function markers(theme, walked, accent) {
    const shown = walked.filter((step) => step.at);
    const last = shown[shown.length - 1];
    const hover = (step) => AT.plain(
      `trial ${step.k + 1}: ${step.feasible ? AT.short(step.score) : "infeasible"}`);
    const recent = shown.slice(-TRAIL);
    const traces = [{
      x: recent.map((s) => s.at.x), y: recent.map((s) => s.at.y), mode: "lines", type: "scatter", hoverinfo: "skip",
      line: { color: AT.faint(accent, 0.8), width: 1.6 }, name: "trail",
    }, {
      x: shown.map((s) => s.at.x), y: shown.map((s) => s.at.y), mode: "markers", type: "scatter", name: "path",
      marker: {
        color: shown.map((s) => (s.feasible ? accent : theme.paper)), size: shown.map((s) => (s.better ? 11 : 7)),
        symbol: shown.map((s) => (s.feasible ? (s.better ? "diamond" : "circle") : "x")),
        line: { color: shown.map((s) => (s.feasible ? theme.paper : "#c02626")), width: 1.2 },
      },
      text: shown.map(hover), hovertemplate: "%{text}<extra></extra>",
    }];
    if (last) {
      traces.push({
        x: [last.at.x], y: [last.at.y], mode: "markers+text", type: "scatter", hoverinfo: "skip", name: "now",
        marker: { size: 20, symbol: "circle-open", color: theme.ring, line: { width: 2.5 } },
        text: [String(last.k + 1)], textposition: "top center", textfont: { color: theme.ring, size: 13 },
      });
    }
    return traces;
  }

  function heat(theme, ground) {
    const [first, second] = ground.stages;
    const [height, width] = ground.shape;
    const span = ground.high - ground.low;
    const z = [];
    const mask = [];
    const hover = [];
    for (let i = 0; i < height; i += 1) {
      const codes = ground.z.slice(i * width, (i + 1) * width);
      z.push(codes.map((code) => (code < 0 ? null : ground.low + (span * code) / 999)));
      mask.push(codes.map((code) => (code === OVER ? 1 : null)));
      hover.push(codes.map((code, j) => AT.plain(
        `${optionName(first, i)}\n${optionName(second, j)}\n${code === OVER ? "over the budget"
          : code === HOLE ? "not in the table" : AT.short(ground.low + (span * code) / 999)}`,
      ).replace(/\n/g, "<br>")));
    }
    const rows = [...Array(height).keys()];
    const columns = [...Array(width).keys()];
    const shared = { type: "heatmap", x: columns, y: rows, text: hover, hovertemplate: "%{text}<extra></extra>" };
    const traces = [{
      ...shared, z, colorscale: "Viridis", zmin: ground.low, zmax: ground.high,
      hoverongaps: true, xgap: width < 60 ? 0.6 : 0, ygap: height < 60 ? 0.6 : 0,
      colorbar: {
        thickness: 10, outlinewidth: 0, len: 0.9, tickfont: { size: 11 },
        ...(AT.narrow() ? { orientation: "h", y: -0.28, x: 0.5, len: 1 } : {}),
      },
    }, { ...shared, z: mask, colorscale: [[0, theme.mask], [1, theme.mask]], showscale: false }];
    return traces;
  }

  // Tick labels are sample counts; models are written beside their block of them.
  function axisOf(stage, size, room) {
    const counts = stage.samples.length;
    const every = Math.max(1, Math.ceil((stage.models.length * counts) / room));
    const values = [];
    for (let option = 0; option < size; option += 1) {
      const k = option % counts;
      // The last of a block would touch the first of the next.
      if (k % every === 0 && (counts - k >= every || option + every >= size)) values.push(option);
    }
    return {
      tickvals: values, ticktext: values.map((option) => String(stage.samples[option % counts])),
      tickfont: { size: 10 }, showgrid: false, range: [-0.5, size - 0.5], ticks: "",
    };
  }

  function blocks(theme, stage, horizontal, pixels) {
    const counts = stage.samples.length;
    const room = pixels / stage.models.length;
    const shapes = [];
    const annotations = stage.models.map((model, m) => {
      if (m) {
        const at = m * counts - 0.5;
        const line = { type: "line", line: { color: theme.paper, width: 2.5 } };
        shapes.push(horizontal
          ? { ...line, x0: at, x1: at, yref: "paper", y0: 0, y1: 1 }
          : { ...line, y0: at, y1: at, xref: "paper", x0: 0, x1: 1 });
      }
      const middle = m * counts + (counts - 1) / 2;
      const name = AT.plain(AT.clip(model, Math.max(4, Math.floor(room / 6.6))));
      const shared = { text: name, showarrow: false, font: { size: 11, color: theme.soft } };
      return horizontal
        ? { ...shared, x: middle, yref: "paper", y: 1.005, yanchor: "bottom" }
        : { ...shared, y: middle, xref: "paper", x: 1.004, xanchor: "left", textangle: 90 };
    });
    return { shapes, annotations };
  }

  function drawTwo(theme, ground, saving) {
    const [first, second] = ground.stages;
    const [height, width] = ground.shape;
    const narrow = AT.narrow() && !saving;
    const pixels = saving ? 640 : Math.min(AT.byId("landscape-figure").clientWidth || 700, 1100) - 110;
    const tall = narrow ? 400 : 520;
    const across = blocks(theme, second, true, pixels);
    const down = blocks(theme, first, false, tall - 110);
    const traces = heat(theme, ground);
    if (!ground.unknown && ground.optimum) {
      const top = place(ground, ground.optimum);
      if (top) {
        traces.push({
          x: [top.x], y: [top.y], mode: "markers", type: "scatter", name: "optimum",
          marker: { symbol: "star", size: 18, color: "#ffffff", line: { color: "#111111", width: 1.4 } },
          hovertemplate: AT.plain(`optimum ${AT.short(ground.optimum_score)}`) + "<extra></extra>",
        });
      }
    }
    traces.push(...markers(theme, steps(ground), "#f03e6b"));
    const layout = AT.layout(theme, {
      height: tall + (narrow ? 70 : 0), hovermode: "closest",
      margin: { l: 50, r: narrow ? 24 : 84, t: 26, b: narrow ? 110 : 48 },
      shapes: [...across.shapes, ...down.shapes], annotations: [...across.annotations, ...down.annotations],
      xaxis: { ...axisOf(second, width, pixels / 22), title: { text: AT.plain(`${second.name}: samples of each model`) } },
      yaxis: { ...axisOf(first, height, (tall - 80) / 15), title: { text: AT.plain(`${first.name}: samples of each model`) } },
    });
    if (!narrow) traces[0].colorbar.x = 1.035;
    return { traces, layout };
  }

  function drawOne(theme, ground) {
    const dark = theme.paper !== "#ffffff";
    const [stage] = ground.stages;
    const counts = stage.samples.length;
    const value = (m, k) => {
      const code = ground.z[m * counts + k];
      return code < 0 ? null : ground.low + ((ground.high - ground.low) * code) / 999;
    };
    const traces = stage.models.map((model, m) => ({
      x: stage.samples, y: stage.samples.map((_, k) => value(m, k)), mode: "lines+markers", type: "scatter",
      name: AT.plain(model), line: { color: AT.colour(m, dark), width: 2, dash: AT.dash(m) },
      marker: { size: 5 }, connectgaps: false,
      hovertemplate: `${AT.plain(model)} × %{x}: %{y:.4f}<extra></extra>`,
    }));
    const walked = steps(ground).map((step) => {
      if (!step.at) return step;
      const m = stage.models.indexOf(step.at.model);
      const k = stage.samples.indexOf(step.at.x);
      const known = m >= 0 && k >= 0 ? value(m, k) : null;
      return { ...step, at: { x: step.at.x, y: step.score === null ? (known === null ? ground.low : known) : step.score } };
    });
    traces.push(...markers(theme, walked, "#f03e6b"));
    const layout = AT.layout(theme, {
      height: 440, hovermode: "closest", ...AT.legend,
      xaxis: { title: { text: AT.plain(`${stage.name}: samples`) }, type: "log", tickvals: stage.samples, ticktext: stage.samples.map(String) },
      yaxis: { title: { text: AT.plain(data.problems[state.problem].metric) } },
    });
    for (const trace of traces) if (["path", "trail", "now"].includes(trace.name)) trace.showlegend = false;
    return { traces, layout };
  }

  function draw(theme, saving) {
    const ground = shape();
    const { traces, layout } = ground.stages[1] ? drawTwo(theme, ground, saving) : drawOne(theme, ground);
    const taken = run();
    const who = taken ? ` with the path of ${data.agents[taken.agent].label}, step ${path.step} of ${taken.asked.length}` : "";
    const top = ground.optimum ? ` The optimum is ${AT.short(ground.optimum_score)} at ${AT.describe(ground.optimum)}.` : "";
    return { data: traces, layout, text: `Scores of ${AT.problemName(data.problems[state.problem])}${who}.${top}` };
  }
  const figure = AT.figure({ id: "landscape-figure", name: "the landscape", draw });

  // Steps --------------------------------------------------------------------------------------------

  function describe() {
    const taken = run();
    if (!taken) {
      controls.text.replaceChildren("This agent has no run here.");
      return;
    }
    const k = path.step - 1;
    const walked = steps(shape());
    const now = walked[k];
    const flags = taken.flags[k];
    const asked = text(taken.asked[k]);
    const answered = taken.answered[k] < 0 ? "" : text(taken.answered[k]);
    const outcome = !(flags & 1) ? `infeasible: ${text(taken.reason[k])}`
      : `score ${AT.short(taken.score[k])}${flags & 4 ? " on fewer examples" : ""}`;
    const lines = [
      el("strong", {}, `Trial ${k + 1} of ${taken.asked.length}`),
      ` ${asked ? AT.describe(asked) : "no configuration"}; ${outcome}`,
      answered && answered !== asked ? `, answered by ${AT.describe(answered)}` : "",
      now.better ? ", the new incumbent" : now.best === null ? "" : `, best so far ${AT.short(now.best)}`,
      flags & 2 ? ", asked before" : "",
      `; cost ${AT.short(taken.cost[k])} ${data.problems[state.problem].cost}, ends at ${AT.short(taken.hours[k])} h.`,
    ];
    const why = taken.why[k] >= 0 ? el("q", { class: "why" }, text(taken.why[k])) : null;
    controls.text.replaceChildren(el("p", {}, ...lines), ...(why ? [el("p", {}, "Why: ", why)] : []));
  }

  function show() {
    const taken = run();
    const count = taken ? taken.asked.length : 1;
    path.step = Math.min(Math.max(path.step, 1), count);
    controls.slider.max = String(count);
    controls.slider.value = String(path.step);
    controls.slider.setAttribute("aria-valuetext", `trial ${path.step} of ${count}`);
    describe();
    AT.refresh(figure);
  }

  function go(step) {
    path.step = step;
    show();
  }
  function stop() {
    clearInterval(playing);
    playing = null;
    controls.play.textContent = "Play";
  }
  function play() {
    if (playing) return stop();
    const count = () => (run() ? run().asked.length : 1);
    if (path.step >= count()) go(1);
    controls.play.textContent = "Pause";
    playing = setInterval(() => {
      if (path.step >= count()) stop();
      else go(path.step + 1);
    }, 650);
    return undefined;
  }

  function offerRuns() {
    controls.run.replaceChildren(...runsOf(path.agent).map((one, i) =>
      el("option", { value: String(i) }, `${one.what} run, seed ${one.seed}`)));
    path.run = 0;
  }
  function offer() {
    const present = new Set(paths().runs.map((one) => one.agent));
    controls.agent.replaceChildren(...data.agents.map((agent, i) => [agent, i])
      .filter(([, i]) => present.has(i))
      .map(([agent, i]) => el("option", { value: String(i) }, agent.label)));
    if (!present.has(path.agent)) path.agent = present.size ? Math.min(...present) : 0;
    controls.agent.value = String(path.agent);
    offerRuns();
    path.step = run() ? run().asked.length : 1;
    const ground = shape();
    const notes = [];
    if (ground.unknown) notes.push("The table is not at hand: only where the paths went is shown.");
    if (ground.others.length) notes.push(`Shown at the best feasible choice of the other stages (${ground.others.join(", ")}).`);
    AT.byId("landscape-kind").replaceChildren(AT.badge(data.problems[state.problem].kind));
    AT.byId("landscape-note").textContent = notes.join(" ");
    show();
  }

  AT.problemSelect(AT.byId("landscape-problem"));
  controls.agent.addEventListener("change", () => {
    path.agent = Number(controls.agent.value);
    offerRuns();
    path.step = run() ? run().asked.length : 1;
    show();
  });
  controls.run.addEventListener("change", () => {
    path.run = Number(controls.run.value);
    show();
  });
  controls.slider.addEventListener("input", () => { stop(); go(Number(controls.slider.value)); });
  controls.play.addEventListener("click", play);
  for (const [id, move] of [
    ["path-first", () => 1], ["path-back", () => path.step - 1],
    ["path-next", () => path.step + 1], ["path-last", () => Infinity],
  ]) {
    AT.byId(id).addEventListener("click", () => { stop(); go(move()); });
  }
  AT.onChange((changes) => {
    if (changes.problem !== undefined) {
      stop();
      offer();
    }
  });
  offer();
})();
