// Agents across problems: critical differences, profiles, probability of improvement.
(function () {
  const { data, el } = AT;
  const select = AT.byId("across-part");
  if (!select) return;
  data.across.forEach((part, i) => {
    const name = part.what === "all" ? "all tables" : `${part.what} tables alone`;
    select.append(el("option", { value: String(i) }, `${name} (${part.tables})`));
  });
  const part = () => data.across[Number(select.value) || 0];
  const label = (i) => data.agents[i].label;
  const dark = (theme) => theme.paper !== "#ffffff";

  // The diagram of Demsar 2006: ranks on an axis, bars over agents that are not told apart.
  function differences(theme, saving) {
    const now = part();
    if (now.ranks.length < 2 || now.ranks.some((rank) => rank === null)) return null;
    const order = now.agents.map((agent, k) => ({ agent, rank: now.ranks[k] })).sort((a, b) => a.rank - b.rank);
    const n = order.length;
    const half = Math.ceil(n / 2);
    if (AT.narrow() && !saving) return ranksByRow(theme, now, order);
    const room = 26;
    const bars = now.groups.map((group) => group.map((agent) => order.find((o) => o.agent === agent).rank));
    const below = 0.9 + bars.length * 0.42;
    const height = 70 + (below + half * 0.95) * 27;
    const shapes = [];
    const annotations = [];
    const line = (x0, y0, x1, y1, width, colour) => shapes.push({
      type: "line", x0, y0, x1, y1, line: { color: colour || theme.ink, width: width || 1 },
    });
    line(1, 0, n, 0, 1.4);
    for (let tick = 1; tick <= n; tick += 1) {
      line(tick, 0, tick, 0.28, 1.2);
      annotations.push({ x: tick, y: 0.3, text: String(tick), showarrow: false, yanchor: "bottom", font: { size: 12 } });
    }
    bars.forEach((ranks, i) => line(Math.min(...ranks) - 0.04, -0.5 - i * 0.42, Math.max(...ranks) + 0.04, -0.5 - i * 0.42, 5));
    const edge = [1 - (n - 1) * 0.03, n + (n - 1) * 0.03];
    order.forEach(({ agent, rank }, i) => {
      const left = i < half;
      const y = -below - (left ? i : n - 1 - i) * 0.95;
      const end = left ? edge[0] : edge[1];
      const colour = AT.colour(agent, dark(theme));
      line(rank, 0, rank, y, 1.3, colour);
      line(rank, y, end, y, 1.3, colour);
      annotations.push({
        x: end, y, showarrow: false, xanchor: left ? "right" : "left", xshift: left ? -4 : 4,
        text: `${AT.plain(AT.clip(label(agent), room))} <b>${rank.toFixed(2)}</b>`,
        font: { size: 13, color: colour },
      });
    });
    if (now.critical_difference !== null && now.critical_difference < n - 1) {
      const y = 1.35;
      line(1, y, 1 + now.critical_difference, y, 1.4, theme.soft);
      line(1, y - 0.14, 1, y + 0.14, 1.4, theme.soft);
      line(1 + now.critical_difference, y - 0.14, 1 + now.critical_difference, y + 0.14, 1.4, theme.soft);
      annotations.push({
        x: 1 + now.critical_difference, y, xshift: 6, xanchor: "left", showarrow: false, font: { size: 12, color: theme.soft },
        text: `CD ${now.critical_difference.toFixed(2)}`,
      });
    }
    const longest = Math.max(...order.map((o) => Math.min(label(o.agent).length, room)));
    const side = 52 + longest * 7.6;
    const points = {
      x: order.map((o) => o.rank), y: order.map(() => 0), mode: "markers", type: "scatter",
      marker: { size: 9, color: order.map((o) => AT.colour(o.agent, dark(theme))), line: { color: theme.paper, width: 1.5 } },
      text: order.map((o) => AT.plain(label(o.agent))), hovertemplate: "%{text}: rank %{x:.2f}<extra></extra>",
    };
    const layout = AT.layout(theme, {
      height, hovermode: "closest", shapes, annotations, margin: { l: side, r: side, t: 8, b: 8 },
      xaxis: { visible: false, range: edge, fixedrange: true, automargin: false },
      yaxis: { visible: false, range: [-below - half * 0.95, 2], fixedrange: true, automargin: false },
    });
    return { data: [points], layout, text: `Critical-difference diagram. ${data.sentences[Number(select.value) || 0]}` };
  }

  // On a phone: a row for each agent, and the bars upright beside them.
  function ranksByRow(theme, now, order) {
    const bars = now.groups.map((group) => group.map((agent) => order.findIndex((o) => o.agent === agent)));
    const n = order.length;
    const shapes = bars.map((rows, i) => ({
      type: "line", xref: "paper", x0: 1.03 + i * 0.035, x1: 1.03 + i * 0.035, y0: Math.min(...rows) - 0.25, y1: Math.max(...rows) + 0.25,
      line: { color: theme.ink, width: 4 },
    }));
    const layout = AT.layout(theme, {
      height: 80 + n * 30, hovermode: "closest", shapes, margin: { l: 60, r: 24 + bars.length * 10, t: 8, b: 44 },
      xaxis: { title: { text: `mean rank${now.critical_difference === null ? "" : `, CD ${now.critical_difference.toFixed(2)}`}` }, range: [0.8, n + 0.2], dtick: 1 },
      yaxis: {
        tickvals: order.map((_, i) => i), ticktext: order.map((o) => AT.plain(AT.clip(label(o.agent), 15))), range: [n - 0.4, -0.6], ticks: "",
      },
    });
    return {
      data: [{
        x: order.map((o) => o.rank), y: order.map((_, i) => i), mode: "markers+text", type: "scatter", textposition: "top center",
        text: order.map((o) => o.rank.toFixed(2)), textfont: { size: 11 }, hovertemplate: "rank %{x:.2f}<extra></extra>",
        marker: { size: 11, color: order.map((o) => AT.colour(o.agent, dark(theme))), symbol: order.map((o) => AT.symbol(o.agent)) },
      }],
      layout, text: `Mean ranks, bars beside agents that are not told apart. ${data.sentences[Number(select.value) || 0]}`,
    };
  }

  function profiles(theme) {
    const now = part();
    const traces = now.agents.map((agent) => ({
      x: now.profile.taus, y: now.profile.shares[agent], mode: "lines", type: "scatter", name: AT.plain(label(agent)),
      line: { color: AT.colour(agent, dark(theme)), width: 2.2, dash: AT.dash(agent), shape: "hv" },
      hovertemplate: "%{y:.0%}",
    }));
    const ends = now.agents.map((agent) => `${label(agent)} ${AT.percent(now.profile.shares[agent][0])} fastest, ${AT.percent(now.profile.shares[agent].at(-1))} solved`);
    const layout = AT.layout(theme, {
      height: 420, hovermode: "x unified", ...AT.legend,
      xaxis: { type: "log", title: { text: AT.narrow() ? "× the best agent's expected trials" : "times the expected trials of the best agent" }, hoverformat: ".3g", ...AT.logTicks(now.profile.taus) },
      yaxis: { title: { text: "share of problems" }, range: [-0.02, 1.02], tickformat: ".0%" },
    });
    return { data: traces, layout, legend: true, text: `Performance profiles: ${ends.join("; ")}.` };
  }

  function improvement(theme) {
    const now = part();
    if (now.agents.length < 2) return null;
    const order = now.agents.map((agent, k) => k).sort((a, b) => now.ranks[a] - now.ranks[b]);
    const narrow = AT.narrow();
    const names = order.map((k) => AT.plain(AT.clip(label(now.agents[k]), narrow ? 12 : 22)));
    // Names may be equal once clipped, so the axes count agents and names are tick labels.
    const axis = order.map((_, i) => i);
    const z = order.map((a) => order.map((b) => now.improvement[a][b]));
    const hover = order.map((a) => order.map((b) => {
      const p = now.improvement[a][b];
      return p === null ? "" : AT.plain(`P(${label(now.agents[a])} beats ${label(now.agents[b])}) = ${p.toFixed(2)}`) +
        `<br>90 %: ${now.improvement_low[a][b].toFixed(2)}–${now.improvement_high[a][b].toFixed(2)}`;
    }));
    const sure = (a, b) => now.improvement_low[a][b] > 0.5 || now.improvement_high[a][b] < 0.5;
    const size = narrow ? 34 : 44;
    const annotations = [];
    if (!narrow || order.length <= 7) {
      order.forEach((a, i) => order.forEach((b, j) => {
        const p = now.improvement[a][b];
        if (p === null) return;
        const strong = Math.abs(p - 0.5) > 0.28;
        annotations.push({
          x: j, y: i, showarrow: false, text: `${sure(a, b) ? "<b>" : ""}${p.toFixed(2).replace(/^0/, "")}${sure(a, b) ? "</b>" : ""}`,
          font: { size: 12, color: strong ? "#ffffff" : dark(theme) ? "#ffffff" : "#222222" },
        });
      }));
    }
    const middle = dark(theme) ? "#3a3e44" : "#f3f2ee";
    const layout = AT.layout(theme, {
      height: order.length * size + (narrow ? 110 : 130), annotations, hovermode: "closest",
      xaxis: { tickvals: axis, ticktext: names, side: "top", tickangle: narrow ? -90 : -50, showgrid: false, ticks: "" },
      yaxis: { tickvals: axis, ticktext: names, autorange: "reversed", showgrid: false, ticks: "" },
      margin: { l: 60, r: narrow ? 40 : 80, t: 60, b: 14 },
    });
    const [best, second] = order;
    const text = `Probability that a run of one agent beats a run of another. ${label(now.agents[best])} beats ${label(now.agents[second])} with ${AT.short(now.improvement[best][second])}.`;
    return {
      data: [{
        type: "heatmap", x: axis, y: axis, z, zmin: 0, zmax: 1, text: hover, hovertemplate: "%{text}<extra></extra>", showscale: false, xgap: 2, ygap: 2,
        colorscale: [[0, "#b2451a"], [0.5, middle], [1, "#1a62a8"]], hoverongaps: false,
      }],
      layout, text,
    };
  }

  const figures = [
    AT.figure({ id: "differences-figure", name: "the critical-difference diagram", draw: differences }),
    AT.figure({ id: "profiles-figure", name: "the performance profiles", draw: profiles }),
    AT.figure({ id: "improvement-figure", name: "the probabilities of improvement", draw: improvement }),
  ];

  function show() {
    const index = Number(select.value) || 0;
    const now = data.across[index];
    AT.byId("across-sentence").textContent = data.sentences[index];
    const kinds = now.what === "all" ? AT.kinds(data.problems.map((p) => p.kind)) : [now.what];
    AT.byId("across-kind").replaceChildren(...kinds.flatMap((kind) => [AT.badge(kind), " "]));
    const rank = (k) => (now.ranks[k] === null ? "" : now.ranks[k].toFixed(2));
    const order = now.agents.map((_, k) => k).sort((a, b) => now.ranks[a] - now.ranks[b]);
    const top = order[0];
    AT.figureTable("across-table", [
      { head: "agent", text: (k) => label(now.agents[k]) },
      { head: "rank", text: rank },
      { head: "p (Nemenyi) to the best", text: (k) => (now.nemenyi && k !== top && now.nemenyi[top][k] !== null ? AT.short(now.nemenyi[top][k]) : "") },
      { head: "the best beats it", text: (k) => (k === top || now.improvement[top][k] === null ? "" : now.improvement[top][k].toFixed(2)) },
      { head: "fastest", text: (k) => AT.percent(now.profile.shares[now.agents[k]][0]) },
      { head: "solved", text: (k) => AT.percent(now.profile.shares[now.agents[k]].at(-1)) },
    ], order);
    const beats = (a, b) => {
      const p = now.improvement[a][b];
      return p === null ? "" : `${p.toFixed(2)} (${now.improvement_low[a][b].toFixed(2)}–${now.improvement_high[a][b].toFixed(2)})`;
    };
    AT.figureTable("improvement-table", [
      { head: "a run of", text: (a) => label(now.agents[a]) },
      ...order.map((b) => ({ head: `beats ${label(now.agents[b])}`, text: (a) => (a === b ? "" : beats(a, b)) })),
    ], order);
    figures.forEach(AT.refresh);
  }
  select.addEventListener("change", show);
  show();
})();
