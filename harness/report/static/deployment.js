// Budgets, Pareto fronts, generalisation, fewer examples, payback.
(function () {
  const { data, el, state } = AT;
  const label = (i) => data.agents[i].label;
  const dark = (theme) => theme.paper !== "#ffffff";
  const shown = () => data.agents.map((_, i) => i).filter((i) => state.agents.has(i));
  const redrawn = [];

  // Best score by budget ------------------------------------------------------------------------------

  const budgets = AT.byId("budget-table");
  if (budgets) {
    data.by_budget.forEach((group, i) => {
      const kind = data.problems[group.problems[0]].kind;
      budgets.append(el("option", { value: String(i) }, `${group.table} (${kind}), ${group.cost}`));
    });
    const rows = (agent, group, column) => group.problems.map((problem) => {
      const at = data.rows.agent.findIndex((a, k) => a === agent && data.rows.problem[k] === problem);
      return at < 0 ? null : data.rows[column][at];
    });
    const draw = (theme) => {
      const group = data.by_budget[Number(budgets.value) || 0];
      const x = group.problems.map((i) => data.problems[i].budget);
      const metric = data.problems[group.problems[0]].metric;
      const traces = [{
        x, y: group.problems.map((i) => data.problems[i].optimum), mode: "lines+markers", type: "scatter", name: "optimum (train)",
        line: { color: theme.soft, dash: "dash", width: 1.6, shape: "hv" }, marker: { size: 5 }, hovertemplate: "%{y:.4f}",
      }];
      for (const agent of shown()) {
        const y = rows(agent, group, "test_score");
        const low = rows(agent, group, "test_low");
        const high = rows(agent, group, "test_high");
        traces.push({
          x, y, mode: "lines+markers", type: "scatter", name: AT.plain(label(agent)), connectgaps: false,
          line: { color: AT.colour(agent, dark(theme)), width: 2, dash: AT.dash(agent) },
          marker: { size: 7, symbol: AT.symbol(agent) },
          error_y: {
            type: "data", symmetric: false, thickness: 1, width: 3, array: y.map((v, k) => (v === null ? 0 : high[k] - v)),
            arrayminus: y.map((v, k) => (v === null ? 0 : v - low[k])),
          },
          hovertemplate: "%{y:.4f}",
        });
      }
      const layout = AT.layout(theme, {
        height: 420, hovermode: "x unified", ...AT.legend,
        xaxis: { type: "log", title: { text: `budget (${group.cost})` }, tickvals: x, ticktext: x.map(AT.short), hoverformat: ".6~g" },
        yaxis: { title: { text: `test ${AT.plain(metric)}` } },
      });
      const ends = shown().map((agent) => `${label(agent)} ${AT.short(rows(agent, group, "test_score").at(-1))}`);
      return { data: traces, layout, legend: true, text: `Test score by budget on ${group.table}; at the largest: ${ends.join("; ")}.` };
    };
    const figure = AT.figure({ id: "budget-figure", name: "the scores by budget", draw });
    redrawn.push(figure);
    budgets.addEventListener("change", () => {
      AT.byId("budget-kind").replaceChildren(AT.badge(data.problems[data.by_budget[Number(budgets.value)].problems[0]].kind));
      AT.refresh(figure);
    });
    AT.byId("budget-kind").replaceChildren(AT.badge(data.problems[data.by_budget[0].problems[0]].kind));
  }

  // Pareto fronts ---------------------------------------------------------------------------------------

  const fronts = AT.byId("front-cost");
  if (fronts) {
    const offer = () => {
      const found = data.fronts[data.problems[state.problem].table] || {};
      const kept = fronts.value;
      fronts.replaceChildren(...Object.keys(found).map((name) => el("option", { value: name }, name)));
      fronts.value = kept in found ? kept : data.problems[state.problem].cost;
    };
    const draw = (theme) => {
      const problem = data.problems[state.problem];
      const front = (data.fronts[problem.table] || {})[fronts.value];
      if (!front) return null;
      const traces = [{
        x: front.costs, y: front.scores, mode: "lines+markers", type: "scatter", name: "front",
        line: { shape: "hv", color: AT.colour(0, dark(theme)), width: 2 }, marker: { size: 6 },
        text: front.names.map((name) => AT.plain(AT.describe(name).replace(/, /g, "\n")).replace(/\n/g, "<br>")),
        hovertemplate: "%{y:.4f} at %{x:.4~g}<br>%{text}<extra></extra>",
      }];
      const positive = front.costs.filter((c) => c > 0);
      const shapes = fronts.value === problem.cost ? [{
        type: "line", yref: "paper", y0: 0, y1: 1, x0: problem.budget, x1: problem.budget, line: { color: theme.soft, dash: "dot", width: 1.2 },
      }] : [];
      const layout = AT.layout(theme, {
        height: 380, hovermode: "closest", shapes,
        xaxis: { type: positive.length > 2 ? "log" : "linear", title: { text: `cost of one execution (${front.unit})` }, ...(positive.length > 2 ? AT.logTicks(front.costs) : {}) },
        yaxis: { title: { text: `train ${AT.plain(problem.metric)}` } },
      });
      const text = `Pareto front of ${problem.table} by ${fronts.value}: from ${AT.short(front.scores[0])} at ${AT.short(front.costs[0])} to ${AT.short(front.scores.at(-1))} at ${AT.short(front.costs.at(-1))}.`;
      return { data: traces, layout, text };
    };
    const figure = AT.figure({ id: "front-figure", name: "the Pareto front", draw });
    fronts.addEventListener("change", () => AT.refresh(figure));
    AT.problemSelect(AT.byId("front-problem"));
    const showFront = () => {
      offer();
      AT.byId("front-kind").replaceChildren(AT.badge(data.problems[state.problem].kind));
      AT.refresh(figure);
    };
    AT.onChange((changes) => { if (changes.problem !== undefined) showFront(); });
    showFront();
  }

  // Train against test ----------------------------------------------------------------------------------

  function gaps(theme) {
    const held = data.generalisation[state.problem];
    if (!held) return null;
    const order = held.agent.map((_, k) => k).sort((a, b) => held.test[a] - held.test[b]);
    const names = order.map((k) => AT.plain(AT.clip(label(held.agent[k]), 24)));
    const y = order.map((_, i) => i);
    const traces = [
      {
        x: order.map((k) => held.train[k]), y, mode: "markers", type: "scatter", name: "train", hovertemplate: "train %{x:.4f}<extra></extra>",
        marker: { symbol: "circle-open", size: 9, color: theme.soft, line: { width: 1.8 } },
      },
      {
        x: order.map((k) => held.test[k]), y, mode: "markers", type: "scatter", name: "test (90 %)",
        text: order.map((k) => `test ${held.test[k].toFixed(4)} (${held.test_low[k].toFixed(4)}–${held.test_high[k].toFixed(4)})<br>gap ${held.gap[k].toFixed(4)} (${held.gap_low[k].toFixed(4)}–${held.gap_high[k].toFixed(4)})`),
        hovertemplate: "%{text}<extra></extra>",
        marker: { size: 9, color: order.map((k) => AT.colour(held.agent[k], dark(theme))) },
        error_x: {
          type: "data", symmetric: false, thickness: 1.3, width: 4, color: theme.soft,
          array: order.map((k) => held.test_high[k] - held.test[k]), arrayminus: order.map((k) => held.test[k] - held.test_low[k]),
        },
      },
    ];
    const layout = AT.layout(theme, {
      height: 110 + order.length * 28, hovermode: "closest", showlegend: true, legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
      margin: { l: 60, r: 14, t: 36, b: 46 },
      xaxis: { title: { text: `${AT.plain(data.problems[state.problem].metric)}${AT.narrow() ? "" : " of the final incumbent"}` } },
      yaxis: { tickvals: y, ticktext: names, range: [-0.6, order.length - 0.4] },
    });
    const text = order.map((k) => `${label(held.agent[k])}: train ${AT.short(held.train[k])}, test ${AT.short(held.test[k])}`).join("; ");
    return { data: traces, layout, legend: true, text: `Train and test score of the final incumbents. ${text}.` };
  }

  function fewer(theme) {
    const held = data.fewer[state.problem];
    if (!held) return null;
    const names = { seen: "as seen on those examples", train: "on all training examples", test: "on test" };
    const traces = [];
    Object.entries(names).forEach(([name, title], i) => {
      const colour = AT.colour(i, dark(theme));
      const band = (k) => held[name].map((values) => values[k]);
      traces.push({
        x: [...held.sizes, ...[...held.sizes].reverse()], y: [...band(2), ...band(1).reverse()], fill: "toself",
        fillcolor: AT.faint(colour, 0.12), line: { width: 0 }, mode: "lines", hoverinfo: "skip", showlegend: false, type: "scatter",
      }, {
        x: held.sizes, y: band(0), mode: "lines+markers", type: "scatter", name: title,
        line: { color: colour, width: 2.2, dash: ["solid", "dash", "dot"][i] }, hovertemplate: "%{y:.4f}",
      });
    });
    const layout = AT.layout(theme, {
      height: 400, hovermode: "x unified", ...AT.legend,
      xaxis: { type: "log", tickvals: held.sizes, ticktext: held.sizes.map(String), title: { text: "training examples" } },
      yaxis: { title: { text: AT.plain(data.problems[state.problem].metric) } },
    });
    const last = held.sizes.length - 1;
    const text = `Choosing on ${held.sizes[0]} examples looks like ${AT.short(held.seen[0][0])} and scores ${AT.short(held.test[0][0])} on test; on ${held.sizes[last]}, ${AT.short(held.seen[last][0])} and ${AT.short(held.test[last][0])}.`;
    return { data: traces, layout, legend: true, text };
  }

  const gapFigure = AT.figure({ id: "gap-figure", name: "train against test", draw: gaps });
  const fewerFigure = AT.figure({ id: "fewer-figure", name: "fewer training examples", draw: fewer });
  AT.problemSelect(AT.byId("gap-problem"));

  function showGaps() {
    const problem = data.problems[state.problem];
    AT.byId("gap-kind").replaceChildren(AT.badge(problem.kind));
    AT.byId("gap-note").textContent = data.generalisation[state.problem] ? "" : "This table has no test split.";
    const held = data.fewer[state.problem];
    AT.byId("fewer-part").hidden = !held;
    if (held) {
      AT.byId("fewer-text").textContent = `The best of ${AT.whole(held.configurations)} feasible configurations, as chosen on so many training examples; ` +
        `means and 90 % intervals over ${held.draws} draws of examples. No agent is in this: it says how far the table's own scores can be trusted.`;
    }
    AT.refresh(gapFigure);
    AT.refresh(fewerFigure);
  }

  // Payback: the formula of the text, run by run, and the median -----------------------------------------

  const payback = { part: AT.byId("payback-part"), default: AT.byId("payback-default"), worth: AT.byId("payback-worth") };

  function executions(taken, against, worth) {
    return taken.spent.map((spent, k) => {
      if (spent === null || taken.cost[k] === null || taken.score[k] === null) return null;
      const better = taken.score[k] - against.score;
      if (worth === 0 && better < 0) return Infinity;
      const gain = against.cost - taken.cost[k] + worth * better;
      return gain > 0 ? spent / gain : Infinity;
    }).filter((value) => value !== null);
  }
  function median(values) {
    if (!values.length) return null;
    const sorted = [...values].sort((a, b) => a - b);
    const low = sorted[(sorted.length - 1) >> 1];
    const high = sorted[sorted.length >> 1];
    return high === Infinity ? Infinity : (low + high) / 2;
  }

  function offerDefaults() {
    const held = data.payback[state.problem];
    payback.part.hidden = !held;
    if (!held) return;
    payback.default.replaceChildren(...Object.entries(held.defaults).map(([name]) => el("option", { value: name }, name)));
    showPayback();
  }
  function showPayback() {
    const held = data.payback[state.problem];
    const problem = data.problems[state.problem];
    const against = held.defaults[payback.default.value];
    const worth = Math.max(0, Number(payback.worth.value) || 0);
    AT.byId("payback-about").replaceChildren(
      AT.badge(problem.kind), ` Default: ${AT.describe(against.configuration)}; ${AT.short(against.cost)} ${problem.cost} an execution, ${held.split} score ${AT.short(against.score)}.`,
    );
    const mean = (values) => {
      const known = values.filter((v) => v !== null);
      return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
    };
    const rows = Object.keys(held.agents).map(Number).map((agent) => {
      const taken = held.agents[agent];
      return {
        agent, spent: mean(taken.spent), cost: mean(taken.cost), score: mean(taken.score),
        after: median(executions(taken, against, worth)),
      };
    });
    const table = AT.byId("payback");
    AT.fill(table, [
      { head: "agent", text: (r) => label(r.agent) },
      { head: "search cost", text: (r) => AT.whole(r.spent), value: (r) => r.spent, title: `mean, ${problem.cost}` },
      { head: "found: cost", text: (r) => AT.short(r.cost), value: (r) => r.cost, title: "mean cost of one execution of the final incumbent" },
      { head: "found: score", text: (r) => AT.fixed(4)(r.score), value: (r) => r.score, first: "descending" },
      { head: "paid back after", text: (r) => (r.after === null ? "" : r.after === Infinity ? "never" : `${AT.whole(r.after)} executions`), value: (r) => (r.after === Infinity ? null : r.after) },
    ], rows);
    AT.sortBy(table, 4, "ascending");
  }
  payback.default.addEventListener("change", showPayback);
  payback.worth.addEventListener("input", showPayback);
  AT.problemSelect(AT.byId("payback-problem"));

  AT.onChange((changes) => {
    if (changes.problem !== undefined) {
      showGaps();
      offerDefaults();
    }
    if (changes.agents) redrawn.forEach(AT.refresh);
  });
  showGaps();
  offerDefaults();
  AT.change({});
})();
