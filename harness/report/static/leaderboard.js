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
  const within = number("within 1 %", "within_rate", AT.percent, "descending", "share of runs that came within 1 % of the best feasible score");
  const optimum = number("optimum", "success_rate", AT.percent, "descending", "share of runs that reached the best feasible score");
  const area = number("area", "regret_area", AT.fixed(4), "ascending", "how far from the optimum, mean over a run's trials: normalised regret, 0 the optimum, 1 the worst feasible score");
  const regret = number("regret", "regret", AT.fixed(4), "ascending", "the same at the end of a run");
  const tail = [
    number("infeasible", "infeasible_rate", AT.percent, "ascending", "share of asks over the budget or not in the table"),
    number("repeated", "repeated_rate", AT.percent, "ascending", "share of asks that were asked before"),
    number("s/ask", "seconds_per_ask", AT.seconds, "ascending", "the agent's own real seconds for each ask"),
  ];
  // Agents that the tests do not tell apart from the best are marked, where all tables are shown, or
  // all of a kind: other choices of tables are not tested.
  const rank = (level) => ({
    ...number("rank", "rank", AT.fixed(2), "ascending", "mean rank by area over the tables shown, 1 the best" +
      (level.size ? "; ≈ not told apart from the best by more than luck (Nemenyi's test at 0.05)" : "")),
    text: (row) => row.rank.toFixed(2),
    mark: (row) => (level.has(row.agent) ? "≈" : ""),
  });
  const several = (kinds, level) => [
    agent,
    rank(level),
    ...(kinds.size > 1
      ? [...kinds].map(([kind, tables]) => ({
        ...number(`${kind} (${tables})`, `within ${kind}`, AT.percent, "descending", `share of runs within 1 % of the optimum on the ${kind} tables`),
        head: [AT.badge(kind), ` (${tables})`],
      }))
      : [within]),
    optimum, area, regret,
    ...tail,
  ];
  const used = ["tokens", "dollars"].filter((name) => data.rows[name].some((value) => value !== null));
  const one = [
    agent, optimum, within,
    number("median trials", "median_trials", AT.trials, "ascending", "to the optimum; a run that missed it counts as later than all"),
    number("ERT", "ert", AT.trials, "ascending", "expected running time in trials to the optimum: all trials spent, over the number of runs that reached it"),
    {
      ...number("hours", "hours", AT.short, "ascending", "median simulated search time; * where a run missed the optimum"),
      text: (row) => AT.short(row.hours) + (row.hours_missed ? "*" : ""),
    },
    number("test score", "test_score", AT.fixed(4), "descending", "of the final incumbent on the test split"),
    {
      head: "90 %", title: "bootstrap interval of the test score, over seeds and, where the table holds outcomes, test examples",
      text: (row) =>
        row.test_low === null ? "" : `${row.test_low.toFixed(4)}–${row.test_high.toFixed(4)}`,
      value: (row) => row.test_low,
    },
    area,
    {
      head: "area 90 %", title: "bootstrap interval over seeds of the area; none where all seeds are one run",
      text: (row) => row.regret_area_low === row.regret_area_high ? "" : `${row.regret_area_low.toFixed(4)}–${row.regret_area_high.toFixed(4)}`,
      value: (row) => row.regret_area_low,
    },
    regret,
    ...tail,
    ...used.map((name) => number(`${name}/run`, name, AT.short, "ascending", `${name} that the agent's language model took in a run`)),
  ];

  // A budget that a suite gave as a multiple of each table's own is one choice for all tables.
  const budgetOf = (problem) => problem.asked || String(problem.budget);

  function shownProblems() {
    return data.problems
      .map((problem, i) => ({ problem, i }))
      .filter(({ problem }) =>
        (!filters.kind.value || problem.kind === filters.kind.value) &&
        (!filters.table.value || problem.table === filters.table.value) &&
        (!filters.budget.value || budgetOf(problem) === filters.budget.value))
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
    // Budgets of one table resemble each other: a table counts once, by its mean area.
    const tables = new Map();
    for (const problem of problems) {
      const name = `${data.problems[problem].table} ${data.problems[problem].cost}`;
      tables.set(name, [...(tables.get(name) || []), problem]);
    }
    for (const budgets of tables.values()) {
      const area = agents.map((i) => {
        const rows = records.filter((r) => budgets.includes(r.problem) && r.agent === i);
        return rows.length < budgets.length ? null : rows.reduce((sum, r) => sum + r.regret_area, 0) / rows.length;
      });
      ranks(area).forEach((rank, i) => { totals[i].rank += rank / tables.size; });
    }
    const average = (rows, name) => (rows.length ? rows.reduce((sum, r) => sum + r[name], 0) / rows.length : null);
    return agents.map((i) => {
      const mine = records.filter((r) => r.agent === i && problems.includes(r.problem));
      const mean = (name) => average(mine, name);
      const apart = [...kindsOf(problems).keys()].map((kind) => [
        `within ${kind}`, average(mine.filter((r) => data.problems[r.problem].kind === kind), "within_rate"),
      ]);
      const names = [
        "success_rate", "within_rate", "regret", "regret_area", "infeasible_rate",
        "repeated_rate", "seconds_per_ask",
      ];
      return {
        agent: i, count: mine.length, rank: totals[i].rank, ...Object.fromEntries(apart),
        ...Object.fromEntries(names.map((name) => [name, mean(name)])),
      };
    }).filter((row) => row.count);
  }

  function kindsOf(problems) {
    const tables = new Map(problems.map((i) => [data.problems[i].table, data.problems[i].kind]));
    const found = new Map();
    for (const kind of ["measured", "published", "modelled"]) {
      const count = [...tables.values()].filter((k) => k === kind).length;
      if (count) found.set(kind, count);
    }
    return found;
  }

  // Whom the tests do not tell apart from the best, where these problems are what was tested.
  function levelOf(problems) {
    if (filters.table.value || filters.budget.value) return new Set();
    const kinds = [...kindsOf(problems).keys()];
    const what = filters.kind.value && kinds.length === 1 && data.level[kinds[0]] ? kinds[0] : "all";
    const level = data.level[what] || [];
    // A sign that all carry, or one alone, says nothing.
    return new Set(level.length > 1 && level.length < data.agents.length ? level : []);
  }

  const lowIsBest = new Set(["rank", "median_trials", "ert", "regret", "regret_area"]);
  const highIsBest = new Set(["success_rate", "within_rate", "test_score"]);
  function bestOf(rows) {
    const target = new Map();
    const apart = rows.length ? Object.keys(rows[0]).filter((name) => name.startsWith("within ")) : [];
    for (const name of [...lowIsBest, ...highIsBest, ...apart]) {
      const values = rows.map((row) => row[name]).filter((v) => v !== null && v !== undefined);
      // What all share is no one's best.
      if (values.length && (values.length === 1 || new Set(values).size > 1)) target.set(name, lowIsBest.has(name) ? Math.min(...values) : Math.max(...values));
    }
    return (column, row) => column.name && target.has(column.name) && row[column.name] === target.get(column.name);
  }

  function show() {
    const problems = shownProblems();
    const single = problems.length === 1;
    const rows = single ? records.filter((r) => r.problem === problems[0]) : overall(problems);
    const columns = single ? one : several(kindsOf(problems), levelOf(problems));
    AT.fill(table, columns, rows, bestOf(rows));
    legend(columns);
    if (single) {
      const at = one.findIndex((column) => column.name === "regret_area");
      AT.sortBy(table, at, "ascending");
      AT.sortBy(table, 1, "descending");
    } else {
      AT.sortBy(table, 1, "ascending");
    }
    describe(problems, single);
  }

  // What each column means, under the table: headings alone say it to those who know.
  function legend(columns) {
    const shown = columns.filter((column) => column.title);
    const apart = shown.filter((column) => Array.isArray(column.head));
    const plain = shown.filter((column) => !Array.isArray(column.head));
    const text = (column) => el("dd", {}, column.title);
    AT.byId("legend").replaceChildren(...plain.flatMap((column, i) => [
      ...(i === 1 && apart.length
        ? [el("dt", {}, "by kind (tables)"), el("dd", {}, "share of runs that came within 1 % of the best feasible score, on tables of that kind")] : []),
      el("dt", {}, column.head), text(column),
    ]));
    AT.byId("legend").append(el("dt", {}, "bold"), el("dd", {}, "the best figure of a column, which may be so by luck"));
    AT.byId("legend-part").hidden = false;
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
      if (problem.feasible) parts.push(`; ${AT.whole(problem.feasible)} of ${AT.whole(problem.configurations)} configurations are within the budget`);
      if (problem.near !== null) parts.push(`${problem.feasible ? "," : ";"} ${AT.whole(problem.near)} within 1 % of the optimum`);
    } else {
      const kinds = [...kindsOf(problems)];
      parts.push("Means over ");
      kinds.forEach(([kind, count], i) => {
        parts.push(i ? ", " : "", `${count} `, AT.badge(kind), count === 1 ? " table" : " tables");
      });
      const tables = kinds.reduce((sum, [, count]) => sum + count, 0);
      if (problems.length > tables) parts.push(`, ${problems.length} pairs of a table and a budget; a table counts once in a rank`);
      parts.push(".");
    }
    line.replaceChildren(...parts);
  }

  // Each filter offers what the others leave; a choice that is left no more is dropped.
  function offer() {
    const fits = (problem, without) => Object.entries({
      kind: problem.kind, table: problem.table, budget: budgetOf(problem),
    }).every(([name, value]) => name === without || !filters[name].value || filters[name].value === value);
    const options = {
      kind: (p) => [p.kind, p.kind],
      table: (p) => [p.table, `${p.table} (${p.kind})`],
      budget: (p) => [budgetOf(p), p.asked ? `${p.asked.replace("x", " ×")} a table's own` : `${AT.short(p.budget)} ${p.cost}`],
    };
    for (const [name, select] of Object.entries(filters)) {
      const found = new Map(data.problems.filter((p) => fits(p, name)).map(options[name]));
      const kept = found.has(select.value) ? select.value : "";
      const entries = [...found].sort((a, b) => (name === "budget" ? parseFloat(a[0]) - parseFloat(b[0]) : 0));
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
  AT.byId("legend-part").open = window.innerWidth >= 640;
  offer();
  show();
})();
