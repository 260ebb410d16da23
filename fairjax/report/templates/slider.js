// Moves the threshold slider of a verification report. It reads the JSON beside each slider:
// thresholds (ascending), points ({name, place}), groups ({name, fmr, fnmr, nonmated, mated}, a rate
// for each threshold, null where there is no pair), few and per. It sets text only, never HTML.
"use strict";
(() => {
  const percent = (rate) => {
    if (rate === null) return "undefined";
    const text = rate > 0 && rate < 0.00995 ? (100 * rate).toPrecision(2) : (100 * rate).toFixed(1);
    return Number(text) < 0.001 && rate > 0 ? (100 * rate).toExponential(1) + "%" : text + "%";
  };
  const count = (n) => n < 10 ? n.toFixed(n > 0 ? 1 : 0) : Math.round(n).toLocaleString("en-US");

  const sides = [
    { rate: "fmr", trials: "nonmated", errors: "False matches", pairs: "non-mated comparisons" },
    { rate: "fnmr", trials: "mated", errors: "False non-matches", pairs: "mated comparisons" },
  ];

  // What was counted on one side, in a sentence; ties are named together.
  const burden = (side, data, place) => {
    const known = data.groups.filter((g) => g[side.rate][place] !== null);
    if (known.length < 2) return `${side.errors}: too few groups have pairs to compare.`;
    const rates = known.map((g) => g[side.rate][place]);
    const [high, low] = [Math.max(...rates), Math.min(...rates)];
    const [most, least] = [high, low].map((end) => known.filter((g) => g[side.rate][place] === end));
    const names = (groups) => groups.map((g) => g.name).join(" and ");
    if (high === 0) return `${side.errors}: none was counted in any group.`;
    const per = data.per.toLocaleString("en-US");
    if (high === low) return `${side.errors} were counted alike in every group, ${count(data.per * high)} in ${per} ${side.pairs}.`;
    const times = low > 0 ? `, ${(high / low).toPrecision(2)} times as many as for` : "; none was counted for";
    const thin = [...most, ...least].filter((g) => Math.round(g[side.rate][place] * g[side.trials]) < data.few);
    const caution = thin.length
      ? ` Fewer than ${data.few} errors stand behind the number of ${names(thin)}.` : "";
    return `${side.errors} were counted most for ${names(most)}: ${count(data.per * high)} in ${per} ${side.pairs}${times} ${names(least)}.${caution}`;
  };

  const start = (root) => {
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const range = root.querySelector("input");
    const says = root.querySelector(".says");
    const rows = [...root.querySelectorAll(".live tbody tr")];
    const buttons = [...root.querySelectorAll("button")];
    let waiting = 0;

    const show = () => {
      const place = Number(range.value);
      const threshold = data.thresholds[place];
      const point = data.points.find((p) => p.place === place);
      const text = threshold.toFixed(3) + (point ? ` (${point.name})` : "");
      range.setAttribute("aria-valuetext", text);
      root.querySelector("output").textContent = text;
      buttons.forEach((b, k) => b.setAttribute("aria-pressed", String(data.points[k] === point)));
      for (const side of sides) {
        const top = Math.max(...data.groups.map((g) => g[side.rate][place] ?? 0));
        data.groups.forEach((group, k) => {
          const rate = group[side.rate][place];
          const errors = rate === null ? 0 : Math.round(rate * group[side.trials]);
          const [cell, counted] = rows[k].querySelectorAll(`.${side.rate}`);
          cell.firstElementChild.textContent = percent(rate) + (rate !== null && errors < data.few ? "*" : "");
          cell.lastElementChild.hidden = rate === null;
          cell.lastElementChild.style.width = `${top > 0 && rate !== null ? 100 * rate / top : 0}%`;
          counted.textContent = `${errors.toLocaleString("en-US")} of ${group[side.trials].toLocaleString("en-US")}`;
          rows[k].classList.toggle(`most-${side.rate}`, rate !== null && rate > 0 && rate === top);
        });
      }
      for (const mark of document.querySelectorAll(`[data-marks="${root.dataset.slider}"] .mark`)) {
        const { low, high, left, right } = mark.dataset;
        const share = (threshold - low) / (high - low);
        mark.style.left = `${Number(left) + share * (right - left)}%`;
        mark.hidden = share < 0 || share > 1;
      }
      // A reader of the screen hears the sentence once the slider rests.
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        says.textContent = `At threshold ${text}: ` + sides.map((s) => burden(s, data, place)).join(" ");
      }, 250);
    };

    range.addEventListener("input", show);
    buttons.forEach((b, k) => b.addEventListener("click", () => {
      range.value = data.points[k].place;
      show();
    }));
    root.classList.add("scripted");
    show();
  };

  document.querySelectorAll(".slider").forEach(start);
})();
