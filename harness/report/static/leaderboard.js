// The leaderboard: one problem's measures, or means and ranks over those that the filters leave.
(function () {
  const { data, el } = AT;
  const table = AT.byId("leaderboard");
  if (!table || !data.rows || !data.rows.agent.length) return;
  const filters = { kind: AT.byId("by-kind"), table: AT.byId("by-table"), budget: AT.byId("by-budget") };

  const records = data.rows.agent.map((_, i) =>
    Object.fromEntries(Object.entries(data.rows).map(([name, column]) => [name, column[i]])),
  );
  const label = (row) => data.agents[row.agent].label;
  const number = (head, name, text, first, title) => ({
    head, name, text: (row) => text(row[name]), value: (row) => row[name], first, title,
  });
  const agent = { head: "agent", text: label, value: label };
  const shared = [
    number("optimum", "success_rate", AT.percent, "descending", "share of runs that reached the best feasible score"),
    number("within 1 %", "within_rate", AT.percent, "descending", "share of runs that came within 1 % of it"),
  ];
  const tail = [
    number("infeasible", "infeasible_rate", AT.percent, "ascending", "share of asks over the budget or not in the table"),
    number("repeated", "repeated_rate", AT.percent, "ascending", "share of asks that were asked before"),
    number("s/ask", "seconds_per_ask", AT.seconds, "ascending", "the agent's own real seconds for each ask"),
  ];
  const several = [
    agent,
    number("rank", "rank", AT.fixed(2), "ascending", "mean rank by area over the problems shown"),
    ...shared,
    number("regret", "regret", AT.fixed(4), "ascending", "normalised regret at the end of a run"),
    number("area", "regret_area", AT.fixed(4), "ascending", "normalised regret, mean over a run's trials"),
    ...tail,
  ];
  const one = [
    agent,
    ...shared,
    number("median trials", "median_trials", AT.trials, "ascending", "to the optimum; a run that missed it counts as later than all"),
    number("ERT", "ert", AT.trials, "ascending", "expected running time in trials"),
    {
      ...number("hours", "hours", AT.short, "ascending", "median simulated search time; * where a run missed the optimum"),
      text: (row) => AT.short(row.hours) + (row.hours_missed ? "*" : ""),
    },
    number("test score", "test_score", AT.fixed(4), "descending", "of the final incumbent on the test split"),
    {
      head: "90 %",
      text: (row) =>
        row.test_low === null ? "" : `${row.test_low.toFixed(4)}–${row.test_high.toFixed(4)}`,
      value: (row) => row.test_low,
    },
    number("area", "regret_area", AT.fixed(4), "ascending", "normalised regret, mean over a run's trials"),
    ...tail,
  ];

  function shownProblems() {
    return data.problems
      .map((problem, i) => ({ problem, i }))
      .filter(({ problem }) =>
        (!filters.kind.value || problem.kind === filters.kind.value) &&
        (!filters.table.value || problem.table === filters.table.value) &&
        (!filters.budget.value || String(problem.budget) === filters.budget.value))
      .map(({ i }) => i);
  }

  // Ties share the mean of their ranks; what has no value shares the last ones.
  function ranks(values) {
    const filled = values.map((value) => (value === null || value === undefined ? Infinity : value));
    return filled.map((value) => {
      const below = filled.filter((other) => other < value).length;
      const same = filled.filter((other) => other === value).length;
      return below + (same + 1) / 2;
    });
  }

  function overall(problems) {
    const agents = data.agents.map((_, i) => i);
    const totals = agents.map(() => ({ rank: 0 }));
    for (const problem of problems) {
      const area = agents.map((i) => {
        const row = records.find((r) => r.problem === problem && r.agent === i);
        return row ? row.regret_area : null;
      });
      ranks(area).forEach((rank, i) => { totals[i].rank += rank / problems.length; });
    }
    return agents.map((i) => {
      const mine = records.filter((r) => r.agent === i && problems.includes(r.problem));
      const mean = (name) => mine.length
        ? mine.reduce((sum, r) => sum + r[name], 0) / mine.length : null;
      const names = [
        "success_rate", "within_rate", "regret", "regret_area", "infeasible_rate",
        "repeated_rate", "seconds_per_ask",
      ];
      return {
        agent: i, count: mine.length, rank: totals[i].rank,
        ...Object.fromEntries(names.map((name) => [name, mean(name)])),
      };
    }).filter((row) => row.count);
  }

  const lowIsBest = new Set(["rank", "median_trials", "ert", "regret", "regret_area"]);
  const highIsBest = new Set(["success_rate", "within_rate", "test_score"]);
  function bestOf(rows) {
    const target = new Map();
    for (const name of [...lowIsBest, ...highIsBest]) {
      const values = rows.map((row) => row[name]).filter((v) => v !== null && v !== undefined);
      if (values.length) target.set(name, lowIsBest.has(name) ? Math.min(...values) : Math.max(...values));
    }
    return (column, row) => column.name && target.has(column.name) && row[column.name] === target.get(column.name);
  }

  function show() {
    const problems = shownProblems();
    const single = problems.length === 1;
    const rows = single ? records.filter((r) => r.problem === problems[0]) : overall(problems);
    AT.fill(table, single ? one : several, rows, bestOf(rows));
    if (single) {
      const at = one.findIndex((column) => column.name === "regret_area");
      AT.sortBy(table, at, "ascending");
      AT.sortBy(table, 1, "descending");
    } else {
      AT.sortBy(table, 1, "ascending");
    }
    describe(problems, single);
  }

  function describe(problems, single) {
    const line = AT.byId("leaderboard-about");
    const parts = [];
    if (single) {
      const problem = data.problems[problems[0]];
      parts.push(
        `${problem.table} `, AT.badge(problem.kind),
        ` budget ${AT.short(problem.budget)} ${problem.cost}; optimum ${AT.short(problem.optimum)} (${problem.metric})`,
      );
      if (problem.near !== null) parts.push(`; ${AT.whole(problem.near)} configurations within 1 %`);
    } else {
      const tables = new Map(problems.map((i) => [data.problems[i].table, data.problems[i].kind]));
      const kinds = [...new Set(tables.values())];
      parts.push(`Means over ${problems.length} problems: `);
      kinds.forEach((kind, i) => {
        const count = [...tables.values()].filter((k) => k === kind).length;
        parts.push(i ? ", " : "", `${count} `, AT.badge(kind), count === 1 ? " table" : " tables");
      });
    }
    line.replaceChildren(...parts);
  }

  // Each filter offers what the others leave; a choice that is left no more is dropped.
  function offer() {
    const fits = (problem, without) => Object.entries({
      kind: problem.kind, table: problem.table, budget: String(problem.budget),
    }).every(([name, value]) => name === without || !filters[name].value || filters[name].value === value);
    const options = {
      kind: (p) => [p.kind, p.kind],
      table: (p) => [p.table, `${p.table} (${p.kind})`],
      budget: (p) => [String(p.budget), `${AT.short(p.budget)} ${p.cost}`],
    };
    for (const [name, select] of Object.entries(filters)) {
      const found = new Map(data.problems.filter((p) => fits(p, name)).map(options[name]));
      const kept = found.has(select.value) ? select.value : "";
      const entries = [...found].sort((a, b) => (name === "budget" ? a[0] - b[0] : 0));
      select.replaceChildren(
        el("option", { value: "" }, `all ${name === "kind" ? "kinds" : name === "table" ? "tables" : "budgets"}`),
        ...entries.map(([value, text]) => el("option", { value }, text)),
      );
      select.value = kept;
    }
  }

  for (const select of Object.values(filters)) {
    select.addEventListener("change", () => { offer(); show(); });
  }
  AT.byId("filters").hidden = false;
  offer();
  show();
})();
