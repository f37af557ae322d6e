"use strict";
(() => {
  const root = document.documentElement;
  const all = (within, selector) => [...within.querySelectorAll(selector)];
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const shown = (value) => {
    const size = Math.abs(value);
    if (size && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
    return value.toFixed(size >= 1000 ? 1 : size >= 1 || !size ? 2 : size >= 0.1 ? 3 : 4);
  };
  const redraws = new Set();

  // plotly.js lies in the page as text and is run when the first plot comes into view
  const plot = (...figure) => {
    if (!window.Plotly) {
      const script = document.createElement("script");
      script.textContent = document.getElementById("plotly").textContent;
      document.head.append(script);
    }
    return Plotly.react(...figure);
  };

  // theme; paper is always light
  let printing = false;
  const stored = (() => { try { return localStorage.getItem("vaebench-theme"); } catch { return null; } })();
  if (stored === "light" || stored === "dark") root.dataset.theme = stored;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("vaebench-theme", root.dataset.theme); } catch { /* a page without storage forgets */ }
    redraws.forEach((draw) => draw());
  });
  system.addEventListener("change", () => redraws.forEach((draw) => draw()));
  const tone = (hex) => (dark() ? `#${hex.match(/\w\w/g).map((part) => Math.round(parseInt(part, 16) * 0.7 + 76).toString(16).padStart(2, "0")).join("")}` : hex);
  const print = (begins) => {
    printing = begins;
    if (begins) root.dataset.screen = root.dataset.theme ?? "";
    root.dataset.theme = begins ? "light" : root.dataset.screen;
    redraws.forEach((draw) => draw());
  };
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));

  const layout = (box, more) => {
    const probe = (name) => {
      const span = document.createElement("span");
      span.style.color = `var(${name})`;
      document.body.append(span);
      const colour = getComputedStyle(span).color;
      span.remove();
      return colour;
    };
    const axis = { gridcolor: probe("--line"), linecolor: probe("--line"), zeroline: false, automargin: true };
    const axes = Object.entries({ xaxis: {}, yaxis: {}, ...more }).filter(([key]) => /^[xy]axis/.test(key));
    return {
      ...(printing ? { width: box.matches(".plot") ? 1000 : 640 } : { autosize: true }),
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: probe("--ink") },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: probe("--muted"), activecolor: probe("--accent") },
      margin: { l: 64, r: 20, t: 24, b: 52 }, hoverlabel: { bgcolor: probe("--sheet"), font: { color: probe("--ink") } },
      legend: innerWidth < 700 ? { orientation: "h", y: -0.25 } : {},
      ...more, ...Object.fromEntries(axes.map(([key, own]) => [key, { ...axis, ...own }])),
    };
  };
  const epochs = (curves) => {
    const last = Math.max(...curves.map((curve) => curve.epoch.at(-1)));
    return { title: { text: "epoch", standoff: 8 }, ...(last <= 12 ? { dtick: 1 } : {}) };
  };
  const logarithmic = { type: "log", nticks: 4, tickformat: "~g" };
  const config = { displaylogo: false, responsive: true, displayModeBar: innerWidth < 700 ? false : "hover", modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"] };
  const whenSeen = (element, draw) => {
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) start();
    }, { rootMargin: "200px" });
    const start = () => {
      observer.disconnect();
      removeEventListener("beforeprint", startVisible);
      redraws.add(draw);
      draw();
    };
    const startVisible = () => { if (element.checkVisibility()) start(); };
    observer.observe(element);
    addEventListener("beforeprint", startVisible);
  };

  // sorting
  const keyOf = (row, column, kind) => {
    const value = row.cells[column].dataset.value;
    if (kind === "text") return value;
    return value === "" ? NaN : Number(value);
  };
  all(document, "table[data-sortable]").forEach((table) => {
    const head = table.tHead.rows[table.tHead.rows.length - 1];
    all(head, ".sort").forEach((button) => button.addEventListener("click", () => {
      const cell = button.closest("th");
      const column = cell.cellIndex;
      const descending = cell.getAttribute("aria-sort") === "ascending";
      all(head, "th").forEach((other) => other.removeAttribute("aria-sort"));
      cell.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const body = table.tBodies[0];
      const rows = [...body.rows].filter((row) => !row.classList.contains("detail"));
      const details = new Map(rows.map((row) => {
        const next = row.nextElementSibling;
        return [row, next && next.classList.contains("detail") ? next : null];
      }));
      const keys = new Map(rows.map((row) => [row, keyOf(row, column, button.dataset.kind)]));
      const sign = descending ? -1 : 1;
      rows.sort((a, b) => {
        const [x, y] = [keys.get(a), keys.get(b)];
        if (button.dataset.kind === "text") return sign * x.localeCompare(y, undefined, { numeric: true });
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
        return sign * (x - y);
      });
      rows.forEach((row) => body.append(row, ...(details.get(row) ? [details.get(row)] : [])));
    }));
  });

  const option = (value, text = value) => {
    const element = document.createElement("option");
    element.value = value;
    element.textContent = text;
    return element;
  };
  const fill = (select, entries) => select.replaceChildren(...entries.map(([value, text]) => option(value, text)));

  all(document, "article.study").forEach((study) => {
    const data = JSON.parse(study.querySelector("script.data").textContent);
    const metrics = new Map(data.metrics.map((metric) => [metric.path, metric]));
    const number = (dataset, method, metric) => data.values[dataset]?.[method]?.[metric];
    const measured = (dataset) => data.metrics.filter((m) => data.methods.some((k) => number(dataset, k.name, m.path)));
    const arrow = (metric) => ({ lower: " ↓", higher: " ↑" })[metric.better] ?? "";
    const choices = (list) => list.map((metric) => [metric.path, metric.label + arrow(metric)]);
    const drawnOn = data.datasets.filter((dataset) => data.values[dataset]);

    // filters
    const filters = study.querySelector("[data-filters]");
    const second = study.querySelector("[data-metric-filter]");
    const filter = () => {
      const { dataset, group, method } = Object.fromEntries(new FormData(filters));
      const { metric, printed } = Object.fromEntries(new FormData(second));
      const words = method.toLowerCase().split(/\s+/).filter(Boolean);
      all(study, "table[data-filtered]").forEach((table) => {
        const rows = all(table, "tbody > tr:not(.detail)");
        let visible = 0;
        rows.forEach((row) => {
          const text = row.dataset.search.toLowerCase();
          const inComparison = row.dataset.metric !== undefined;
          const keep = (!dataset || row.dataset.dataset === dataset)
            && words.every((word) => text.includes(word))
            && (!inComparison || ((!group || row.dataset.group === group)
              && (!metric || row.dataset.metric === metric) && (!printed || row.dataset.printed)));
          row.hidden = !keep;
          visible += keep;
          const detail = row.nextElementSibling;
          if (detail?.classList.contains("detail")) {
            detail.hidden = !keep || row.querySelector(".open").getAttribute("aria-expanded") !== "true";
          }
        });
        const output = (table.classList.contains("comparison") ? second : filters).querySelector("output");
        output.textContent = visible === rows.length ? `${rows.length} rows` : `${visible} of ${rows.length} rows`;
      });
      all(study, ".overview [data-group]").forEach((cell) => { cell.hidden = Boolean(group) && cell.dataset.group !== group; });
    };
    [filters, second].forEach((form) => {
      form.addEventListener("input", filter);
      form.addEventListener("submit", (event) => event.preventDefault());
    });
    filter();

    // curves
    const titles = { loss: "objective (each method's own)", validation_mse: "validation MSE", learning_rate: "learning rate", sigma2: "σ̂²", beta: "β" };
    const title = (column) => titles[column] ?? column;
    const curveTraces = (dataset, methods, column) => methods.flatMap((method) => {
      const seeds = Object.entries(data.curves[dataset]?.[method.name] ?? {}).filter(([, c]) => c[column]);
      return seeds.map(([seed, curve], index) => ({
        type: "scatter", mode: curve.epoch.length > 1 ? "lines" : "markers", x: curve.epoch, y: curve[column],
        name: plain(method.label), legendgroup: method.name, showlegend: index === 0,
        line: { color: tone(method.colour), width: 1.6 }, marker: { color: tone(method.colour) }, opacity: index ? 0.45 : 1,
        hovertemplate: `${plain(method.label)}, seed ${plain(seed)}<br>epoch %{x}: %{y:.5g}<extra></extra>`,
      }));
    });

    // a method's details
    const drawDetail = (row, box) => {
      const { dataset, method } = row.dataset;
      const seeds = Object.entries(data.curves[dataset]?.[method] ?? {});
      if (!seeds.length) {
        box.textContent = "No training curve.";
        return;
      }
      const columns = ["loss", "reconstruction", "regularization", "validation_mse"].filter((c) => seeds.some(([, curve]) => curve[c]));
      const own = data.methods.find((m) => m.name === method);
      const place = (k) => (k ? k + 1 : "");
      const traces = columns.flatMap((column, k) => seeds.filter(([, c]) => c[column]).map(([seed, curve], index) => ({
        type: "scatter", mode: curve.epoch.length > 1 ? "lines" : "markers", x: curve.epoch, y: curve[column],
        xaxis: `x${place(k)}`, yaxis: `y${place(k)}`, opacity: index ? 0.4 : 1,
        line: { color: tone(own.colour), width: 1.5 }, marker: { color: tone(own.colour) },
        hovertemplate: `seed ${plain(seed)}, ${title(column)}<br>epoch %{x}: %{y:.5g}<extra></extra>`,
      })));
      const axes = columns.flatMap((column, k) => [
        [`xaxis${place(k)}`, epochs(seeds.map(([, curve]) => curve))],
        [`yaxis${place(k)}`, { title: { text: title(column).replace(/ \(.*/, ""), standoff: 8 }, nticks: 5 }],
      ]);
      const wide = innerWidth < 700 && !printing ? 1 : Math.min(2, columns.length);
      const rows = Math.ceil(columns.length / wide);
      const grid = { rows, columns: wide, pattern: "independent", xgap: 0.22, ygap: 0.32 };
      plot(box, traces, layout(box, { height: 190 * rows, showlegend: false, grid, ...Object.fromEntries(axes) }), config);
    };
    const toggle = (row, open) => {
      const detail = row.nextElementSibling;
      row.querySelector(".open").setAttribute("aria-expanded", String(open));
      detail.hidden = !open;
      const box = detail.querySelector("[data-curves]");
      if (open && !box.dataset.drawn) {
        box.dataset.drawn = "1";
        const draw = () => drawDetail(row, box);
        redraws.add(draw);
        draw();
      }
    };
    all(study, "tr.run").forEach((row) => {
      const button = row.querySelector(".open");
      button.addEventListener("click", () => toggle(row, button.getAttribute("aria-expanded") !== "true"));
    });
    study.openRun = (dataset, method) => {
      const row = all(study, "tr.run").find((r) => r.dataset.dataset === dataset && r.dataset.method === method);
      if (!row) return;
      filters.reset();
      filter();
      toggle(row, true);
      row.scrollIntoView({ block: "center" });
      row.querySelector(".open").focus({ preventScroll: true });
    };

    const panel = (form, datasets, draw) => {
      if (!datasets.length) {
        form.closest("section").hidden = true;
        const link = study.querySelector(`.toc a[href="#${form.closest("section").id}"]`);
        if (link) link.hidden = true;
        return false;
      }
      fill(form.elements.dataset, datasets.map((d) => [d, d]));
      form.elements.dataset.closest("label").hidden = datasets.length < 2;
      form.addEventListener("input", draw);
      form.addEventListener("submit", (event) => event.preventDefault());
      return true;
    };
    const pick = (select, wanted) => {
      const there = [...select.options].map((o) => o.value);
      const found = wanted.find((value) => there.includes(value));
      if (found !== undefined) select.value = found;
    };

    // trade-offs
    const scatter = study.querySelector("[data-scatter]");
    const scatterPlot = study.querySelector("[data-scatter-plot]");
    const symbols = ["circle", "square", "diamond", "triangle-up", "star", "hexagon", "cross", "x"];
    const regularizers = [...new Set(data.methods.map((m) => m.regularizer))];
    const drawScatter = () => {
      const { x, y, dataset } = scatter.elements;
      const points = data.methods
        .map((method) => [method, number(dataset.value, method.name, x.value), number(dataset.value, method.name, y.value)])
        .filter(([, a, b]) => a && b);
      const bar = (v, colour) => ({ array: [v ?? 0], visible: v !== null, color: tone(colour), thickness: 1, width: 3 });
      const traces = points.map(([method, a, b]) => ({
        type: "scatter", mode: "markers", x: [a[0]], y: [b[0]], name: plain(method.label),
        error_x: bar(a[1], method.colour), error_y: bar(b[1], method.colour),
        marker: { size: 11, color: tone(method.colour), symbol: symbols[regularizers.indexOf(method.regularizer) % symbols.length] },
        hovertemplate: `<b>${plain(method.label)}</b><br>${plain(metrics.get(x.value).label)} %{x:.5g}<br>${plain(metrics.get(y.value).label)} %{y:.5g}<extra></extra>`,
      }));
      const axis = (path, index) => ({
        ...(scatter.elements.log.checked && points.every((p) => p[index][0] > 0) ? logarithmic : {}),
        title: { text: plain(metrics.get(path).label + arrow(metrics.get(path))), standoff: 12 },
      });
      plot(scatterPlot, traces, layout(scatterPlot, { height: 480, showlegend: true, xaxis: axis(x.value, 1), yaxis: axis(y.value, 2) }), config);
    };
    if (panel(scatter, drawnOn, drawScatter)) {
      fill(scatter.elements.x, choices(data.metrics));
      fill(scatter.elements.y, choices(data.metrics));
      pick(scatter.elements.x, ["mse"]);
      const other = data.metrics.find((m) => /^(fid|fd_classifier)\.(?!recon|interp)/.test(m.path)) ?? data.metrics[1];
      if (other) pick(scatter.elements.y, [other.path]);
      scatter.elements.log.checked = true;
      whenSeen(scatterPlot, drawScatter);
    }

    // axes
    const axes = study.querySelector("[data-axes]");
    const matrix = study.querySelector("table.matrix");
    const cell = (tag, text, scope) => {
      const element = document.createElement(tag);
      element.textContent = text;
      if (scope) element.scope = scope;
      return element;
    };
    const drawAxes = () => {
      const metric = metrics.get(axes.elements.metric.value);
      const dataset = axes.elements.dataset.value;
      const unique = (key) => [...new Set(data.methods.map((m) => m[key]))];
      const [rows, columns] = [unique("likelihood"), unique("regularizer")];
      const value = (method) => number(dataset, method.name, metric.path)?.[0];
      const values = data.methods.map(value).filter((v) => v !== undefined);
      const squash = values.length && Math.min(...values) > 0 && Math.max(...values) / Math.min(...values) > 20 ? Math.log : (v) => v;
      const [low, high] = [Math.min(...values.map(squash)), Math.max(...values.map(squash))];
      const head = document.createElement("tr");
      const corner = cell("th", metric.label + arrow(metric), "col");
      corner.className = "first";
      corner.append(cell("small", "likelihood \\ regularizer"));
      head.append(corner, ...columns.map((c) => cell("th", c, "col")));
      const body = rows.map((row) => {
        const line = document.createElement("tr");
        const first = cell("th", row, "row");
        first.className = "first";
        line.append(first, ...columns.map((column) => {
          const here = data.methods.filter((m) => m.likelihood === row && m.regularizer === column);
          const found = here.filter((m) => value(m) !== undefined);
          const td = cell("td", here.length && !found.length ? "–" : "");
          if (found.length) {
            const better = metric.better === "higher" ? Math.max : Math.min;
            const best = better(...found.map(value));
            const share = high > low ? (squash(best) - low) / (high - low) : 0.5;
            td.className = "filled";
            td.style.setProperty("--heat", metric.better === "lower" ? 1 - share : share);
            found.forEach((m) => {
              const line = cell("div", shown(value(m)));
              line.append(cell("small", m.label));
              td.append(line);
            });
          }
          return td;
        }));
        return line;
      });
      const thead = document.createElement("thead");
      thead.append(head);
      const tbody = document.createElement("tbody");
      tbody.append(...body);
      matrix.replaceChildren(thead, tbody);
    };
    if (panel(axes, drawnOn, drawAxes)) {
      fill(axes.elements.metric, choices(data.metrics));
      drawAxes();
    }

    // training
    const training = study.querySelector("[data-training]");
    const trainingPlot = study.querySelector("[data-training-plot]");
    const drawTraining = () => {
      const column = training.elements.column.value;
      const scale = training.elements.log.checked ? logarithmic : {};
      const traces = curveTraces(training.elements.dataset.value, data.methods, column);
      const yaxis = { ...scale, title: { text: title(column), standoff: 12 } };
      plot(trainingPlot, traces, layout(trainingPlot, { height: 480, xaxis: epochs(traces.map((t) => ({ epoch: t.x }))), yaxis }), config);
    };
    if (panel(training, data.datasets.filter((d) => data.curves[d]), drawTraining)) {
      const runs = Object.values(data.curves).flatMap((d) => Object.values(d)).flatMap((m) => Object.values(m));
      const columns = [...new Set(runs.flatMap((curve) => Object.keys(curve)))].filter((c) => c !== "epoch");
      fill(training.elements.column, columns.map((c) => [c, title(c)]));
      pick(training.elements.column, ["validation_mse", "loss"]);
      whenSeen(trainingPlot, drawTraining);
    }

    // pictures
    const gallery = study.querySelector("[data-gallery]");
    if (gallery) {
      const figures = all(study, ".detail figure[data-kind]").map((figure) => {
        const { dataset, method } = figure.closest("tr").previousElementSibling.dataset;
        return { figure, dataset, method, kind: figure.dataset.kind };
      });
      const drawGallery = () => {
        const { kind, dataset } = gallery.elements;
        const chosen = figures.filter((f) => f.kind === kind.value && f.dataset === dataset.value);
        const order = (f) => data.methods.findIndex((m) => m.name === f.method);
        study.querySelector(".gallery").replaceChildren(...chosen.sort((a, b) => order(a) - order(b)).map((f) => {
          const copy = f.figure.cloneNode(true);
          copy.querySelector("figcaption").textContent = data.methods[order(f)].label;
          return copy;
        }));
      };
      if (panel(gallery, [...new Set(figures.map((f) => f.dataset))], drawGallery)) {
        const kinds = new Map(figures.map((f) => [f.kind, f.figure.querySelector("figcaption").textContent]));
        fill(gallery.elements.kind, [...kinds]);
        pick(gallery.elements.kind, [...kinds.keys()].filter((k) => k.startsWith("sample")).slice(0, 1));
        drawGallery();
      }
    }
  });

  // a picture by itself, as large as the window allows; a click or Escape closes it
  const zoom = document.getElementById("zoom");
  document.addEventListener("click", (event) => {
    const picture = event.target.closest(".look");
    if (!picture) return;
    zoom.replaceChildren(picture.closest("figure").cloneNode(true));
    zoom.showModal();
  });
  zoom.addEventListener("click", () => zoom.close());

  // `vaebench ui` serves MLflow beside the report
  if (location.pathname.startsWith("/report/")) {
    all(document, "[data-mlflow]").forEach((place) => {
      const link = document.createElement("a");
      link.href = place.dataset.mlflow;
      link.textContent = "its run in MLflow";
      place.replaceChildren(link);
    });
  }

  // #dataset/method opens a method
  const study = document.querySelector("article.study");
  const show = () => {
    const [dataset, method] = decodeURIComponent(location.hash.slice(1)).split("/");
    if (method !== undefined) study.openRun(dataset, method);
  };
  addEventListener("hashchange", show);
  show();
})();
