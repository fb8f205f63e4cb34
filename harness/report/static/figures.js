// Figures: drawn by Plotly when they come into view, redrawn when something changes, saved as files.
(function () {
  const colours = [
    ["#0b66c2", "#63b3ff"], ["#d1570a", "#ff9b57"], ["#15803d", "#5fd38a"], ["#a21caf", "#e58bee"],
    ["#b91c1c", "#ff8585"], ["#0e7490", "#4fd2e6"], ["#8a6100", "#e3b94a"], ["#4f46e5", "#a5a0ff"],
    ["#4d7c0f", "#b3dd5c"], ["#be185d", "#ff8fbd"],
  ];
  const dashes = ["solid", "dash", "dot", "dashdot"];
  const symbols = ["circle", "square", "diamond", "cross", "triangle-up", "x", "triangle-down", "star", "hexagon", "pentagon"];

  AT.colour = (agent, dark = AT.dark()) => colours[agent % colours.length][dark ? 1 : 0];
  AT.dash = (agent) => dashes[Math.floor(agent / colours.length) % dashes.length];
  AT.symbol = (agent) => symbols[agent % symbols.length];
  AT.faint = function (colour, alpha) {
    const part = (i) => parseInt(colour.slice(i, i + 2), 16);
    return `rgba(${part(1)},${part(3)},${part(5)},${alpha})`;
  };

  AT.theme = function (dark) {
    return dark
      ? { paper: "#16181b", ink: "#e8e8e4", soft: "#a5abb3", line: "#33373c", mask: "#2b2f34", ring: "#ffffff" }
      : { paper: "#ffffff", ink: "#1b1d20", soft: "#5a6068", line: "#dddcd6", mask: "#e4e3de", ring: "#111111" };
  };

  AT.narrow = () => window.innerWidth < 640;

  AT.layout = function (theme, more) {
    const axis = {
      gridcolor: theme.line, linecolor: theme.line, zeroline: false, tickcolor: theme.line,
      automargin: true, title: { standoff: 10, font: { size: 13 } },
    };
    const base = {
      paper_bgcolor: theme.paper, plot_bgcolor: theme.paper, showlegend: false,
      font: { family: "system-ui, sans-serif", size: 13, color: theme.ink },
      margin: { l: 52, r: 14, t: 12, b: 46 },
      hoverlabel: { bgcolor: theme.paper, bordercolor: theme.line, font: { color: theme.ink, size: 12 }, align: "left" },
      dragmode: false,
    };
    const { xaxis, yaxis, ...rest } = more || {};
    const whole = (given) => ({ ...axis, ...given, title: { ...axis.title, ...(given || {}).title } });
    // Curves tell of the trial nearest to the pointer, however far apart trials are.
    if (rest.hovermode === "x unified") rest.hoverdistance = -1;
    return { ...base, xaxis: whole(xaxis), yaxis: whole(yaxis), ...rest };
  };
  // Beside a figure's own check boxes none is needed; elsewhere it stands above the plot.
  AT.legend = { showlegend: true, legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } } };

  // Ticks of a logarithmic axis at 1, 2 and 5 times powers of ten, or at the powers alone.
  AT.logTicks = function (values) {
    const known = values.filter((value) => value > 0);
    if (!known.length) return {};
    const low = Math.min(...known);
    const high = Math.max(...known);
    const decades = Math.log10(high / low);
    const steps = decades > 4 ? [1] : decades > 2 ? [1, 3] : [1, 2, 5];
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
      for (const step of steps) ticks.push(step * 10 ** power);
    }
    const text = (value) => (value >= 1e6 || value < 1e-3 ? value.toExponential(0).replace("e+", "e") : AT.short(value));
    return { tickvals: ticks, ticktext: ticks.map(text) };
  };

  // spec: {id, name, draw(theme) -> {data, layout, text}, after(node)}; `text` is the alternative.
  AT.figure = function (spec) {
    const node = AT.byId(spec.id);
    const figure = { ...spec, node, visible: false, stale: true };
    AT.figures.push(figure);
    watcher.observe(node);
    const tools = AT.el("div", { class: "tools" },
      AT.el("span", { class: "soft" }, "Save"),
      ["svg", "png"].map((format) =>
        AT.el("button", {
          type: "button", class: "small", "aria-label": `Save ${spec.name} as ${format.toUpperCase()}`,
          onclick: () => saveFigure(figure, format),
        }, format.toUpperCase())),
    );
    node.after(tools);
    figure.tools = tools;
    return figure;
  };

  AT.refresh = function (figure) {
    figure.stale = true;
    if (figure.visible && AT.plotly) render(figure);
  };
  AT.refreshAll = () => AT.figures.forEach(AT.refresh);

  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const figure = AT.figures.find((f) => f.node === entry.target);
      figure.visible = entry.isIntersecting;
      if (figure.visible && figure.stale && AT.plotly) render(figure);
    }
  }, { rootMargin: "300px 0px" });

  function render(figure) {
    figure.stale = false;
    const drawn = figure.draw(AT.theme(AT.dark()));
    figure.node.hidden = !drawn;
    figure.tools.hidden = !drawn;
    if (!drawn) return;
    figure.node.setAttribute("role", "img");
    figure.node.setAttribute("aria-label", drawn.text);
    figure.node.style.height = `${drawn.layout.height || 380}px`;
    AT.plotly.react(figure.node, drawn.data, drawn.layout, { displayModeBar: false, responsive: true });
    figure.node.dataset.drawn = "true";
    if (figure.after && !figure.dressed) {
      figure.dressed = true;
      figure.after(figure.node);
    }
  }

  // A saved figure is light and of a paper's width, whatever the screen shows.
  async function saveFigure(figure, format) {
    if (!AT.plotly) return;
    const drawn = figure.draw(AT.theme(false), true);
    if (!drawn) return;
    const width = 760;
    const layout = { ...drawn.layout, width, showlegend: drawn.legend || false };
    const address = await AT.plotly.toImage(
      { data: drawn.data, layout }, { format, width, height: layout.height || 380, scale: format === "png" ? 3 : 1 },
    );
    AT.saved = { name: `${figure.id}.${format}`, length: address.length };
    AT.save(AT.saved.name, address);
    AT.say(`Saved ${AT.saved.name}`);
  }

  AT.onChange((changes) => {
    if (changes.theme) AT.refreshAll();
  });

  // A table that says what a figure shows, for those who do not see it.
  AT.figureTable = function (id, columns, rows) {
    const place = AT.byId(id);
    const table = place.querySelector("table");
    AT.fill(table, columns, rows);
    place.hidden = !rows.length;
  };

  // Plotly is packed in the page; unpacking it takes nothing from the network.
  async function unpack() {
    const packed = AT.byId("plotly");
    const bytes = Uint8Array.from(atob(packed.textContent), (c) => c.charCodeAt(0));
    packed.remove();
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
    AT.plotly = window.Plotly;
    document.documentElement.dataset.plots = "ready";
    AT.figures.filter((figure) => figure.visible).forEach(render);
  }

  window.addEventListener("load", () => {
    if (typeof DecompressionStream === "undefined") {
      AT.say("Plots need a browser of 2023 or later; all tables are shown");
      return;
    }
    setTimeout(() => unpack().catch((error) => {
      console.error(error);
      AT.say("The plots cannot be drawn in this browser; all tables are shown");
    }), 30);
  });
  window.addEventListener("beforeprint", () => AT.figures.filter((f) => f.stale && AT.plotly).forEach(render));
})();
