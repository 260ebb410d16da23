// Saves any figure as SVG or PNG, prints it alone (a browser prints to PDF), and saves any table as
// CSV or LaTeX. Nothing is loaded or sent: files are made on the page. It sets text only.
"use strict";
(() => {
  const slug = (text) => (text || "figure").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60);

  const save = (name, type, content) => {
    const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
    const link = document.createElement("a");
    link.href = url;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  };

  // The figure by itself: colours as they are on the page now, and its own font.
  const alone = (svg) => {
    const copy = svg.cloneNode(true);
    const page = getComputedStyle(document.documentElement);
    const colour = (text) => text.replace(/var\(--([\w-]+),[^)]*\)/g, (_, name) => page.getPropertyValue(`--${name}`).trim());
    for (const one of [copy, ...copy.querySelectorAll("[style]")]) one.setAttribute("style", colour(one.getAttribute("style") || ""));
    const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
    copy.setAttribute("width", width);
    copy.setAttribute("height", height);
    copy.setAttribute("font-family", "sans-serif");
    const paper = document.createElementNS(svg.namespaceURI, "rect");
    paper.setAttribute("width", "100%");
    paper.setAttribute("height", "100%");
    paper.setAttribute("fill", page.getPropertyValue("--paper").trim());
    copy.insertBefore(paper, copy.querySelector("g"));
    return { text: new XMLSerializer().serializeToString(copy), width, height };
  };

  const png = (svg, name) => {
    const { text, width, height } = alone(svg);
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = 3 * width;
      canvas.height = 3 * height;
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => save(name, "image/png", blob));
    };
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  };

  const print = (box) => {
    box.classList.add("alone");
    document.body.classList.add("one-figure");
    window.print();
    document.body.classList.remove("one-figure");
    box.classList.remove("alone");
  };

  const cells = (table) => [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
  const formula = /^[=+\-@\t\r＝＋－＠]/;
  const numeric = /^[-+]?(\d[\d,]*\.?\d*|\.\d+)(e[-+]?\d+)?%?$/i;
  const guarded = (text) => formula.test(text) && !numeric.test(text) ? `'${text}` : text;
  const csv = (table) => cells(table).map((row) => row.map((text) => `"${guarded(text).replace(/"/g, '""')}"`).join(",")).join("\r\n") + "\r\n";

  const special = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}" };
  // LaTeX's own fonts lack <, > and |; a first [ or * would belong to the end of the row before.
  const tex = (text) => text.replace(/[\\&%$#_{}~^]/g, (c) => special[c] || `\\${c}`)
    .replace(/[<>|]/g, (c) => `$${c}$`).replace(/^[[*]/, (c) => `{${c}}`);
  const latex = (table, title) => {
    const [head, ...body] = cells(table);
    const line = (row) => `${row.map(tex).join(" & ")} \\\\`;
    return [
      "\\begin{table}", `\\caption{${tex(title)}}`, `\\begin{tabular}{${"l".repeat(head.length)}}`, "\\hline",
      line(head), "\\hline", ...body.map(line), "\\hline", "\\end{tabular}", "\\end{table}", "",
    ].join("\n");
  };

  const offer = (box, title, choices) => {
    const bar = document.createElement("div");
    bar.className = "export";
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", `Save: ${title}`);
    for (const [name, act] of choices) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.setAttribute("aria-label", `${title} as ${name}`);
      button.addEventListener("click", act);
      bar.append(button);
    }
    box.append(bar);
  };

  for (const svg of document.querySelectorAll("svg.plot")) {
    const title = svg.querySelector("title").textContent;
    const box = svg.closest("figure, li");
    if (!box) continue;
    offer(box, title, [
      ["SVG", () => save(`${slug(title)}.svg`, "image/svg+xml", alone(svg).text)],
      ["PNG", () => png(svg, `${slug(title)}.png`)],
      ["PDF", () => print(box)],
    ]);
  }
  for (const table of document.querySelectorAll(".sheet:not(.live) > table")) {
    const title = table.caption.textContent;
    offer(table.parentElement, title, [
      ["CSV", () => save(`${slug(title)}.csv`, "text/csv", csv(table))],
      ["LaTeX", () => save(`${slug(title)}.tex`, "application/x-tex", latex(table, title))],
    ]);
  }
  document.documentElement.classList.add("exports");
})();
