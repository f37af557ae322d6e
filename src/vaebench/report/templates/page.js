"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector, within = document) => within.querySelector(selector);
  const data = JSON.parse(document.getElementById("data").textContent);
  const metrics = new Map(data.metrics.map((metric) => [metric.path, metric]));
  const methods = new Map(data.methods.map((method) => [method.name, method]));
  const datasets = Object.keys(data.values);
  const value = (dataset, method, metric) => data.values[dataset]?.[method]?.[metric];
  const arrow = (metric) => ({ lower: " ↓", higher: " ↑" })[metric.better] ?? "";
  const shown = (number) => {
    const size = Math.abs(number);
    if (size && (size < 1e-3 || size >= 1e6)) return number.toExponential(2);
    return number.toFixed(size >= 1000 ? 1 : size >= 1 || !size ? 2 : size >= 0.1 ? 3 : 4);
  };
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const fill = (select, entries) =>
    select.replaceChildren(...entries.map(([key, text]) => make("option", { value: key, textContent: text })));
  const pick = (select, wanted) => {
    const found = wanted.find((key) => [...select.options].some((option) => option.value === key));
    if (found !== undefined) select.value = found;
  };

  // a form that draws what it chooses; a section that nothing was measured for goes
  const panel = (form, found, draw) => {
    const section = form.closest("section");
    if (!found.length) {
      section.hidden = true;
      const link = one(`.toc a[href="#${section.id}"]`);
      if (link) link.hidden = true;
      return;
    }
    fill(form.elements.dataset, found.map((dataset) => [dataset, dataset]));
    form.elements.dataset.closest("label").hidden = found.length < 2;
    form.addEventListener("input", draw);
    form.addEventListener("submit", (event) => event.preventDefault());
    draw();
  };

  // sorting
  all("table[data-sortable]").forEach((table) => {
    const head = [...table.tHead.rows].at(-1);
    all(".sort", head).forEach((button) => button.addEventListener("click", () => {
      const cell = button.closest("th");
      const sign = cell.ariaSort === "ascending" ? -1 : 1;
      all("th", head).forEach((other) => other.removeAttribute("aria-sort"));
      cell.ariaSort = sign > 0 ? "ascending" : "descending";
      const isText = button.dataset.kind === "text";
      const key = (row) => {
        const text = row.cells[cell.cellIndex].dataset.value;
        return isText ? text : text === "" ? NaN : Number(text);
      };
      const rows = [...table.tBodies[0].rows].filter((row) => !row.classList.contains("detail"));
      const details = new Map(rows.map((row) => [row, row.nextElementSibling]));
      rows.sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (isText) return sign * x.localeCompare(y, undefined, { numeric: true });
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
        return sign * (x - y);
      });
      rows.forEach((row) => {
        const detail = details.get(row);
        table.tBodies[0].append(row, ...(detail?.classList.contains("detail") ? [detail] : []));
      });
    }));
  });

  // filters and columns of the results
  const filters = one("[data-filters]");
  const filter = () => {
    const form = new FormData(filters);
    const words = form.get("method").toLowerCase().split(/\s+/).filter(Boolean);
    const dataset = form.get("dataset");
    const rows = all("tr[data-search]");
    const keep = (row) => (!dataset || row.dataset.dataset === dataset)
      && words.every((word) => row.dataset.search.toLowerCase().includes(word));
    rows.forEach((row) => {
      row.hidden = !keep(row);
      const detail = row.nextElementSibling;
      if (detail?.classList.contains("detail")) {
        detail.hidden = row.hidden || one(".open", row).ariaExpanded !== "true";
      }
    });
    const runs = rows.filter((row) => row.matches(".run"));
    const visible = runs.filter((row) => !row.hidden).length;
    one("output", filters).textContent = visible < runs.length ? `${visible} of ${runs.length} rows` : "";
    const columns = new Set(form.getAll("column"));
    all("[data-column]").forEach((cell) => { cell.hidden = !columns.has(cell.dataset.column); });
    one(".choose summary").textContent = `Columns (${columns.size} of ${metrics.size})`;
  };
  filters.addEventListener("input", filter);
  filters.addEventListener("submit", (event) => event.preventDefault());

  // a method's panel has an address: #dataset/method
  const address = (row) => `#${[row.dataset.dataset, row.dataset.method].map(encodeURIComponent).join("/")}`;
  const toggle = (row, open) => {
    one(".open", row).ariaExpanded = String(open);
    row.nextElementSibling.hidden = !open;
    if (open) history.replaceState(null, "", address(row));
    else if (location.hash === address(row)) history.replaceState(null, "", location.pathname + location.search);
  };
  all("tr.run").forEach((row) => {
    const button = one(".open", row);
    button.addEventListener("click", () => toggle(row, button.ariaExpanded !== "true"));
  });
  const show = () => {
    const row = all("tr.run").find((found) => address(found) === location.hash);
    if (!row) return;
    filters.reset();
    filter();
    toggle(row, true);
    row.scrollIntoView();
    one(".open", row).focus({ preventScroll: true });
  };

  // all methods' pictures of one kind
  const gallery = one("[data-gallery]");
  gallery?.addEventListener("input", () => {
    const { kind, dataset } = gallery.elements;
    all(".strip").forEach((strip) => {
      strip.hidden = strip.dataset.kind !== kind.value || strip.dataset.dataset !== dataset.value;
    });
  });

  // a picture as large as the window allows; arrow keys turn to its neighbours, in place
  const zoom = document.getElementById("zoom");
  let enlarged = null;
  const enlarge = (figure) => {
    enlarged = figure;
    const copy = figure.cloneNode(true);
    one("img", copy).loading = "eager";
    one(".look", copy).replaceWith(one("img", copy));
    zoom.replaceChildren(copy);
    if (!zoom.open) zoom.showModal();
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".look");
    if (button) enlarge(button.closest("figure"));
  });
  zoom.addEventListener("click", () => zoom.close());
  zoom.addEventListener("keydown", ({ key }) => {
    const next = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[key];
    if (next && enlarged[next]) enlarge(enlarged[next]);
  });

  // charts: points or lines in an SVG that takes the page's colours
  const svg = (tag, attributes, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    Object.entries(attributes).forEach(([key, text]) => element.setAttribute(key, text));
    element.append(...children);
    return element;
  };
  const scale = (values, log, from, to) => {
    const map = log ? Math.log10 : (number) => number;
    let [low, high] = [Math.min(...values.map(map)), Math.max(...values.map(map))];
    const margin = (high - low) * 0.06 || Math.abs(low) * 0.1 || 1;
    [low, high] = [low - margin, high + margin];
    const position = (number) => from + ((map(number) - low) / (high - low)) * (to - from);
    const step = (span) => {
      const size = 10 ** Math.floor(Math.log10(span / 5));
      return size * [1, 2, 5, 10].find((factor) => span / (size * factor) <= 6);
    };
    const decades = Array.from({ length: 40 }, (_, k) => 10 ** (k - 20));
    let ticks = log ? decades.flatMap((d) => (high - low < 2 ? [d, 2 * d, 5 * d] : [d])) : [];
    ticks = ticks.filter((tick) => map(tick) > low && map(tick) < high);
    if (ticks.length < 2) {
      const [a, b] = log ? [10 ** low, 10 ** high] : [low, high];
      const width = step(b - a);
      ticks = Array.from({ length: 12 }, (_, k) => (Math.ceil(a / width) + k) * width).filter((t) => t < b);
    }
    return { position, ticks };
  };
  const SHAPES = [
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0", "M-4.5-4.5h9v9h-9z", "M0-6L6 0L0 6L-6 0z", "M0-6L5.5 4.5h-11z",
    "M0 6L5.5-4.5h-11z", "M-2-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z", "M0-6L2-2L6-2L3 1L4 6L0 3L-4 6L-3 1L-6-2L-2-2z",
  ];
  const tick = (number) => Number(number.toPrecision(6)).toString().replace("-", "−");

  // `series`: {name, colour, points: [{x, y, error, name, hollow, shape}], line}
  const chart = (box, series, x, y, legend = []) => {
    const points = series.flatMap((one) => one.points);
    box.replaceChildren();
    if (!points.length) {
      box.append(make("p", { className: "muted", textContent: "Nothing was measured for this." }));
      return;
    }
    const [width, height] = [Math.max(box.clientWidth, 280), 440];
    const [left, right, top, bottom] = [64, width - 16, 14, height - 46];
    const positive = (key) => points.every((point) => point[key] > 0);
    const across = scale(points.map((p) => p.x), x.log && positive("x"), left, right);
    const up = scale(points.map((p) => p.y), y.log && positive("y"), bottom, top);
    const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${y.title} against ${x.title}` });
    const text = (at, words, more = {}) => svg("text", { x: at[0], y: at[1], ...more }, words);
    across.ticks.filter((t) => !x.whole || Number.isInteger(t)).forEach((t) => drawn.append(
      svg("line", { class: "grid", x1: across.position(t), x2: across.position(t), y1: top, y2: bottom }),
      text([across.position(t), bottom + 16], tick(t), { "text-anchor": "middle" }),
    ));
    up.ticks.forEach((t) => drawn.append(
      svg("line", { class: "grid", x1: left, x2: right, y1: up.position(t), y2: up.position(t) }),
      text([left - 7, up.position(t) + 4], tick(t), { "text-anchor": "end" }),
    ));
    drawn.append(
      text([(left + right) / 2, height - 6], x.title, { "text-anchor": "middle", class: "title" }),
      text([0, 0], y.title, {
        "text-anchor": "middle", class: "title", transform: `translate(13 ${(top + bottom) / 2}) rotate(-90)`,
      }),
    );
    const labels = [];
    series.forEach(({ points: own, colour, line, name }) => {
      const at = own.map((p) => [across.position(p.x), up.position(p.y)]);
      if (line) {
        const path = at.map(([a, b], k) => `${k ? "L" : "M"}${a.toFixed(1)} ${b.toFixed(1)}`).join("");
        drawn.append(svg("path", { d: path, class: line, stroke: colour }, svg("title", {}, name)));
        if (own.length > 1) return;
      }
      own.forEach((point, k) => {
        const [a, b] = at[k];
        [["x", 1, 0], ["y", 0, 1]].forEach(([key, dx, dy]) => {
          const error = point.error?.[key];
          if (!error) return;
          const ends = [-1, 1].map((sign) => (key === "x" ? across : up).position(point[key] + sign * error));
          if (ends.some((end) => !Number.isFinite(end))) return;
          drawn.append(svg("line", {
            stroke: colour, x1: dx ? ends[0] : a, x2: dx ? ends[1] : a, y1: dy ? ends[0] : b, y2: dy ? ends[1] : b,
          }));
        });
        drawn.append(svg("path", {
          d: SHAPES[(point.shape ?? 0) % SHAPES.length], transform: `translate(${a} ${b})`, class: "point",
          stroke: colour, fill: point.hollow ? "var(--sheet)" : colour,
        }, svg("title", {}, `${point.name}\n${x.title} ${shown(point.x)}\n${y.title} ${shown(point.y)}`)));
        if (point.label) labels.push([a, b, point.label]);
      });
    });
    const taken = labels.map(([a, b]) => [a - 6, b - 6, a + 6, b + 6]);
    labels.forEach(([a, b, words]) => {
      const long = words.length * 6.2;
      const place = [[a + 9, b + 4], [a - 9 - long, b + 4], [a - long / 2, b - 10], [a - long / 2, b + 18], [a + 9, b + 15], [a + 9, b - 8]]
        .map(([x0, y0]) => [x0, y0 - 10, x0 + long, y0 + 2])
        .filter(([x0, , x1]) => x0 > left && x1 < right)
        .find((box) => !taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3]));
      if (!place) return;
      taken.push(place);
      drawn.append(text([place[0], place[3] - 2], words, { class: "label" }));
    });
    const keys = legend.map(({ name, colour, shape }) => make("span", {}, svg(
      "svg", { viewBox: "-8 -8 16 16", width: 14, height: 14 },
      svg("path", { d: SHAPES[(shape ?? 0) % SHAPES.length], fill: colour }),
    ), name));
    box.append(drawn, make("p", { className: "legend" }, ...keys));
  };

  // trade-offs
  const likelihoods = [...new Set(data.methods.map((m) => m.likelihood))];
  const regularizers = [...new Set(data.methods.map((m) => m.regularizer))];
  const colourOf = (likelihood) => data.methods.find((method) => method.likelihood === likelihood).colour;
  const choices = data.metrics.map((metric) => [metric.path, metric.label + arrow(metric)]);
  const scatter = one("[data-scatter]");
  fill(scatter.elements.x, choices);
  fill(scatter.elements.y, choices);
  pick(scatter.elements.x, ["mse"]);
  pick(scatter.elements.y, [
    ...choices.map(([path]) => path).filter((path) => /^(fid|fd_\w+)\.(prior|gmm)/.test(path)),
    ...choices.map(([path]) => path).slice(1),
  ]);
  const front = (points, x, y) => {
    const sign = (metric) => ({ lower: 1, higher: -1 })[metric.better];
    if (!sign(x) || !sign(y)) return [];
    const better = (a, b) => sign(x) * a.x <= sign(x) * b.x && sign(y) * a.y <= sign(y) * b.y && a !== b
      && (a.x !== b.x || a.y !== b.y);
    const sound = points.filter((p) => !p.hollow);
    return sound.filter((p) => !sound.some((q) => better(q, p))).sort((a, b) => a.x - b.x);
  };
  panel(scatter, datasets, () => {
    const { x, y, dataset, log } = scatter.elements;
    const points = data.methods.flatMap((method) => {
      const [a, b] = [x, y].map((select) => value(dataset.value, method.name, select.value));
      if (!a || !b) return [];
      return [{
        x: a[0], y: b[0], error: { x: a[1], y: b[1] }, name: method.label, label: method.label,
        hollow: method.unsound.includes(dataset.value), shape: regularizers.indexOf(method.regularizer),
        colour: colourOf(method.likelihood),
      }];
    });
    const [across, up] = [x, y].map((select) => metrics.get(select.value));
    const axis = (metric) => ({ title: metric.label + arrow(metric), log: log.checked });
    const series = points.map((point) => ({ points: [point], colour: point.colour }));
    const best = front(points, across, up);
    if (best.length > 1) series.unshift({ name: "no method beats these in both", points: best, line: "front", colour: "var(--muted)" });
    const used = (key) => new Set(data.methods.map((m) => m[key]));
    const legend = [
      ...(used("likelihood").size > 1 ? likelihoods.map((name) => ({ name, colour: colourOf(name) })) : []),
      ...(used("regularizer").size > 1 ? regularizers.map((name, shape) => ({ name, shape, colour: "var(--muted)" })) : []),
    ];
    chart(scatter.nextElementSibling, series, axis(across), axis(up), legend);
  });

  // the axes as a matrix: colours are ranks, so that no single value bleaches the others
  const axes = one("[data-axes]");
  fill(axes.elements.metric, choices);
  const crossed = likelihoods.length > 1 && regularizers.length > 1;
  panel(axes, crossed ? datasets : [], () => {
    const metric = metrics.get(axes.elements.metric.value);
    const dataset = axes.elements.dataset.value;
    const mean = (method) => value(dataset, method.name, metric.path)?.[0];
    const sound = data.methods.filter((m) => mean(m) !== undefined && !m.unsound.includes(dataset));
    const sorted = sound.map(mean).sort((a, b) => (metric.better === "higher" ? b - a : a - b));
    const heat = (method) => (sorted.length > 1 ? 1 - sorted.indexOf(mean(method)) / (sorted.length - 1) : 1);
    const entry = (method) => {
      const found = mean(method);
      const box = make("div", { textContent: found === undefined ? "–" : shown(found) }, make("small", { textContent: method.label }));
      if (sound.includes(method)) {
        box.className = "filled";
        box.style.setProperty("--heat", heat(method));
      } else if (found !== undefined) box.className = "unsound";
      return box;
    };
    const head = (text, scope, className = "") => make("th", { textContent: text, scope, className });
    const rows = likelihoods.map((likelihood) => make("tr", {}, head(likelihood, "row", "first"), ...regularizers.map(
      (regularizer) => make("td", {}, ...data.methods
        .filter((m) => m.likelihood === likelihood && m.regularizer === regularizer).map(entry)),
    )));
    const corner = head(metric.label + arrow(metric), "col", "first");
    one("table.matrix").replaceChildren(
      make("thead", {}, make("tr", {}, corner, ...regularizers.map((name) => head(name, "col")))),
      make("tbody", {}, ...rows),
    );
  });

  // training
  const training = one("[data-training]");
  const runs = Object.values(data.curves).flatMap((found) => Object.values(found)).flatMap((found) => Object.values(found));
  const columns = [...new Set(runs.flatMap((curve) => Object.keys(curve)))].filter((column) => column !== "epoch");
  fill(training.elements.column, columns.map((column) => [column, data.titles[column] ?? column]));
  pick(training.elements.column, ["validation_mse", "reconstruction", "loss"]);
  panel(training, Object.keys(data.curves), () => {
    const { column, dataset, log } = training.elements;
    const series = Object.entries(data.curves[dataset.value]).flatMap(([name, seeds]) => Object.entries(seeds)
      .filter(([, curve]) => curve[column.value])
      .map(([seed, curve]) => ({
        name: `${methods.get(name).label}, seed ${seed}`, colour: methods.get(name).colour, line: "curve",
        points: curve.epoch.map((x, k) => ({ x, y: curve[column.value][k], name: methods.get(name).label }))
          .filter((point) => point.y !== null),
      })));
    const used = new Set(series.map((one) => one.colour));
    const legend = data.methods.filter((m) => used.has(m.colour)).map((m) => ({ name: m.label, colour: m.colour }));
    const title = data.titles[column.value] ?? column.value;
    chart(training.nextElementSibling, series, { title: "epoch", whole: true }, { title, log: log.checked }, legend);
  });
  let width = innerWidth;
  addEventListener("resize", () => {
    if (width === innerWidth) return;
    width = innerWidth;
    [scatter, training].forEach((form) => form.dispatchEvent(new Event("input")));
  });

  // `vaebench ui` serves MLflow beside the report
  if (location.pathname.startsWith("/report/")) {
    all("[data-mlflow]").forEach((place) => {
      place.replaceChildren(make("a", { href: place.dataset.mlflow, textContent: "its run in MLflow" }));
    });
  }

  filter();
  addEventListener("hashchange", show);
  show();
})();
