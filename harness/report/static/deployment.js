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
    // A table without a test split shows what the incumbents score on the one it has.
    const splitOf = (group) => (data.rows.test_score.some((v, k) => v !== null && group.problems.includes(data.rows.problem[k])) ? "test" : "train");
    const draw = (theme) => {
      const group = data.by_budget[Number(budgets.value) || 0];
      const x = group.problems.map((i) => data.problems[i].budget);
      const metric = data.problems[group.problems[0]].metric;
      const split = splitOf(group);
      // Side by side, so that no interval hides another.
      const steps = x.slice(1).map((budget, k) => Math.log(budget / x[k]));
      const spread = Math.min(0.25, ...steps.map((step) => step / 2.5));
      const many = shown();
      const beside = (k) => Math.exp(many.length > 1 ? spread * (k / (many.length - 1) - 0.5) : 0);
      const traces = [{
        x, y: group.problems.map((i) => data.problems[i].optimum), mode: "lines+markers", type: "scatter", name: "optimum (train)",
        line: { color: theme.soft, dash: "dash", width: 1.6, shape: "hv" }, marker: { size: 5 }, hovertemplate: "%{y:.4f}",
      }];
      many.forEach((agent, at) => {
        const y = rows(agent, group, `${split}_score`);
        const low = split === "test" ? rows(agent, group, "test_low") : y;
        const high = split === "test" ? rows(agent, group, "test_high") : y;
        traces.push({
          x: x.map((budget) => budget * beside(at)), y, mode: "lines+markers", type: "scatter", name: AT.plain(label(agent)), connectgaps: false,
          line: { color: AT.colour(agent, dark(theme)), width: 2, dash: AT.dash(agent) },
          marker: { size: 7, symbol: AT.symbol(agent) },
          error_y: {
            type: "data", symmetric: false, thickness: 1.2, width: 3, array: y.map((v, k) => (v === null ? 0 : high[k] - v)),
            arrayminus: y.map((v, k) => (v === null ? 0 : v - low[k])),
          },
          text: y.map((v, k) => (v === null ? "" : `${AT.plain(label(agent))}: ${v.toFixed(4)}${split === "test" ? ` (${low[k].toFixed(4)}–${high[k].toFixed(4)})` : ""}<br>budget ${AT.short(x[k])}`)),
          hovertemplate: "%{text}<extra></extra>",
        });
      });
      const layout = AT.layout(theme, {
        height: 420, hovermode: "closest", ...AT.legend,
        xaxis: { type: "log", title: { text: `budget (${group.cost})` }, tickvals: x, ticktext: x.map(AT.short) },
        yaxis: { title: { text: `${split} ${AT.plain(metric)}` } },
      });
      const ends = many.map((agent) => `${label(agent)} ${AT.short(rows(agent, group, `${split}_score`).at(-1))}`);
      return { data: traces, layout, legend: true, text: `${split === "test" ? "Test" : "Train"} score by budget on ${group.table}; at the largest: ${ends.join("; ")}.` };
    };
    const figure = AT.figure({ id: "budget-figure", name: "the scores by budget", draw });
    redrawn.push(figure);
    const name = () => {
      const group = data.by_budget[Number(budgets.value) || 0];
      AT.byId("budget-kind").replaceChildren(AT.badge(data.problems[group.problems[0]].kind));
      AT.byId("budget-what").textContent = splitOf(group) === "test"
        ? "Test score of the final incumbent, mean over seeds with a 90 % interval" : "Train score of the final incumbent (the table has no test split), mean over seeds";
    };
    budgets.addEventListener("change", () => {
      name();
      AT.refresh(figure);
    });
    name();
  }

  // Pareto fronts ---------------------------------------------------------------------------------------

  const fronts = AT.byId("front-cost");
  if (fronts) {
    const offer = () => {
      const found = data.fronts[data.problems[state.problem].table] || {};
      const kept = fronts.value;
      fronts.replaceChildren(...Object.keys(found).map((name) => el("option", { value: name }, name)));
      // A cost model in which all configurations cost the same has a front of one point.
      const names = [kept, data.problems[state.problem].cost, ...Object.keys(found)];
      fronts.value = names.find((name) => found[name] && found[name].costs.length > 1) || data.problems[state.problem].cost;
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

  // Agents on fewer examples and with noise: examples along the axis, each noise at its right end.
  const called = (term, own, all) => {
    if (term.noise !== own.noise) return term.noise === "mean" ? "no noise" : `${term.noise} noise`;
    return term.examples === null ? `all${all === null ? "" : ` ${all}`}` : String(term.examples);
  };
  const variedView = () => document.querySelector('input[name="varied"]:checked').value;
  function termsOf(held) {
    const own = held.terms[0];
    const order = held.terms.map((_, k) => k).sort((a, b) => {
      const [s, t] = [held.terms[a], held.terms[b]];
      return (s.noise !== own.noise) - (t.noise !== own.noise) || (s.examples || Infinity) - (t.examples || Infinity) || 0;
    });
    return { order, names: order.map((k) => called(held.terms[k], own, held.all)), noisy: order.filter((k) => held.terms[k].noise !== own.noise).length };
  }
  function agentsVaried(theme) {
    const held = data.varied[state.problem];
    if (!held) return null;
    const { order, names, noisy } = termsOf(held);
    const score = variedView() === "test" && Object.values(held.agents).some((a) => a.test_score.some((v) => v !== null));
    const [middle, bottom, top] = score ? ["test_score", "test_low", "test_high"] : ["regret", "regret_low", "regret_high"];
    const many = shown().filter((i) => held.agents[i]);
    const beside = (k) => (many.length > 1 ? 0.5 * (k / (many.length - 1) - 0.5) : 0);
    const traces = many.map((agent, at) => {
      const column = (name) => order.map((k) => held.agents[agent][name][k]);
      const [y, low, high, seen] = [column(middle), column(bottom), column(top), column("train_score")];
      const cut = order.length - noisy;
      // No line leads to what is measured with noise: that is another question.
      const x = names.map((_, k) => k + beside(at));
      const gap = (values) => [...values.slice(0, cut), null, ...values.slice(cut)];
      return {
        x: gap(x), y: gap(y), mode: "lines+markers", type: "scatter", name: AT.plain(label(agent)), connectgaps: false,
        line: { color: AT.colour(agent, dark(theme)), width: 1.6, dash: AT.dash(agent) }, marker: { size: 8, symbol: AT.symbol(agent) },
        error_y: {
          type: "data", symmetric: false, thickness: 1.2, width: 3,
          array: gap(y.map((v, k) => (v === null ? 0 : high[k] - v))), arrayminus: gap(y.map((v, k) => (v === null ? 0 : v - low[k]))),
        },
        text: gap(y.map((v, k) => (v === null ? "" : `${AT.plain(label(agent))}, ${names[k]}: ${v.toFixed(4)} (${low[k].toFixed(4)}–${high[k].toFixed(4)})<br>as the search saw it: ${seen[k] === null ? "–" : seen[k].toFixed(4)}`))),
        hovertemplate: "%{text}<extra></extra>",
      };
    });
    const layout = AT.layout(theme, {
      height: 420, hovermode: "closest", ...AT.legend,
      xaxis: { tickvals: names.map((_, k) => k), ticktext: names.map((name) => name.replace(" ", AT.narrow() ? "<br>" : " ")), range: [-0.6, names.length - 0.4], title: { text: noisy && !AT.narrow() ? "training examples, and all of them with noise" : "training examples" } },
      yaxis: { title: { text: score ? `test ${AT.plain(data.problems[state.problem].metric)}` : "regret on all training examples" } },
    });
    const ends = many.map((agent) => `${label(agent)} ${names.map((name, k) => `${name} ${AT.short(held.agents[agent][middle][order[k]])}`).join(", ")}`);
    return { data: traces, layout, legend: true, text: `${score ? "Test score" : "Regret"} of the final incumbents by training examples: ${ends.join("; ")}.` };
  }
  function variedTable() {
    const held = data.varied[state.problem];
    AT.byId("varied-part").hidden = !held;
    if (!held) return;
    const { order, names } = termsOf(held);
    AT.byId("varied-kind").replaceChildren(AT.badge(data.problems[state.problem].kind));
    AT.byId("varied-text").textContent = "What the final incumbents score on the test split where a search sees fewer training examples, drawn by its seed, or scores with noise. " +
      "Regret is by the table's scores on all training examples, which the search does not see. 90 % intervals, for the agents chosen under Curves.";
    AT.figureTable("varied-table", [
      { head: "agent", text: (i) => label(i) },
      ...order.flatMap((k, at) => [
        { head: `${names[at]}: test`, text: (i) => AT.fixed(4)(held.agents[i].test_score[k]) },
        { head: `${names[at]}: regret`, text: (i) => AT.fixed(4)(held.agents[i].regret[k]) },
      ]),
    ], Object.keys(held.agents).map(Number));
  }
  const variedFigure = AT.figure({ id: "varied-figure", name: "fewer examples and noise", draw: agentsVaried });
  redrawn.push(variedFigure);
  AT.problemSelect(AT.byId("varied-problem"));
  for (const input of document.querySelectorAll('input[name="varied"]')) {
    input.addEventListener("change", () => AT.refresh(variedFigure));
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
    const gap = data.generalisation[state.problem];
    const over = gap && gap.over.every((one) => one === gap.over[0]) ? gap.over[0] : "seeds, or seeds and examples";
    AT.byId("gap-note").textContent = gap ? `90 % intervals over ${over}.` : "This table has no test split.";
    const held = data.fewer[state.problem];
    AT.byId("fewer-part").hidden = !held;
    if (held) {
      AT.byId("fewer-text").textContent = `The best of ${AT.whole(held.configurations)} feasible configurations, as chosen on so many training examples; ` +
        `means and 90 % intervals over ${held.draws} draws of examples. No agent is in this: it says how far the table's own scores can be trusted.`;
    }
    variedTable();
    AT.refresh(variedFigure);
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
      AT.badge(problem.kind), ` Default: ${AT.describe(against.configuration)}; ${AT.short(against.cost)} ${held.cost} an execution, ${held.split} score ${AT.short(against.score)}.` +
        (held.cost === problem.cost ? "" : ` In ${held.cost}, since all configurations cost the same in ${problem.cost}.`),
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
      { head: `search cost (${held.cost})`, text: (r) => AT.whole(r.spent), value: (r) => r.spent, title: "mean over runs" },
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
