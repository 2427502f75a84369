/* trigger-lite: what the pages do beyond htmx. Everything works without it, only less comfortably. */
(() => {
  "use strict";
  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
  const root = document.documentElement;
  root.classList.add("js");

  /* ---- times: kept current here, never over the wire ---- */
  const pad = (n) => String(n).padStart(2, "0");
  const duration = (ms) => {
    ms = Math.max(0, ms);
    if (ms < 1000) return `${Math.floor(ms)} ms`;
    if (ms < 10000) return `${(ms / 1000).toFixed(1)} s`;
    const s = Math.floor(ms / 1000);
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} m ${pad(s % 60)} s`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${pad(Math.floor((s % 3600) / 60))} m`;
    return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
  };
  const ago = (ms) => {
    const s = Math.max(0, Math.floor(ms / 1000));
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "m"]]) if (s >= size) return `${Math.floor(s / size)} ${unit} ago`;
    return s >= 5 ? `${s} s ago` : "just now";
  };
  const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  const tick = () => {
    const now = Date.now();
    for (const t of $$("time[data-since]")) write(t, duration(now - t.dataset.since));
    for (const t of $$("time[data-until]")) write(t, duration(t.dataset.until - now));
    for (const t of $$("time[data-ago]")) write(t, ago(now - t.dataset.ago));
  };
  const stamp = (event) => {
    const t = event.target.closest?.("time[data-ago]");
    if (t && !t.title) t.title = new Date(+t.dataset.ago).toISOString().replace("T", " ").replace("Z", " UTC");
  };
  setInterval(tick, 1000);
  document.addEventListener("mouseover", stamp);

  /* ---- live updates: paused by hand or while the tab is hidden ---- */
  let paused = false;
  const state = (word, name) => {
    const live = $("#live-state");
    if (live) { write($(".live-word", live), word); live.dataset.state = name; }
  };
  const stop = (word) => { const live = $("#live"); if (live) { htmx.swap(live, "", { swapStyle: "delete" }); state(word, "paused"); } };
  const refresh = () => htmx.ajax("GET", location.href, { target: "#main", select: "#main", swap: "outerHTML" });
  const togglePause = () => { paused = !paused; paused ? stop("Paused") : refresh(); };
  let leaving = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(leaving);
    if (document.hidden) leaving = setTimeout(() => stop("Live paused"), 20000);
    else if (!paused && $("#live-state") && !$("#live")) refresh();
  });
  document.addEventListener("htmx:sseOpen", () => state("Live", "open"));
  document.addEventListener("htmx:sseError", () => state("Connecting…", "closed"));

  /* ---- the log: follow its end, keep it at a size a browser bears ---- */
  const MOST_LINES = 5000;
  let atEnd = true;
  const follow = () => {
    const log = $("#log");
    if (!log) return;
    const lines = $$(".l", log);
    for (const line of lines.slice(0, Math.max(0, lines.length - MOST_LINES))) line.remove();
    const box = $("#follow");
    if (box && box.checked && atEnd) log.scrollTop = log.scrollHeight;
  };
  document.addEventListener("scroll", (event) => {
    const log = event.target;
    if (log.id === "log") atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  }, true);
  document.addEventListener("htmx:oobAfterSwap", follow);
  document.addEventListener("htmx:oobAfterSwap", tick);

  /* ---- rows: one that is drawn anew stays picked and keeps the focus ---- */
  const boxes = () => $$(".runs input");
  const picked = new Set();
  let focused = "";
  const keep = () => {
    for (const box of boxes()) box.checked = picked.has(box.value);
    if (focused && document.activeElement === document.body) $(`a.over[href="${focused}"]`)?.focus();
  };
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.matches(".runs input")) box.checked ? picked.add(box.value) : picked.delete(box.value);
  });
  document.addEventListener("focusin", (event) => { focused = event.target.matches("a.over") ? event.target.getAttribute("href") : ""; });
  document.addEventListener("htmx:oobAfterSwap", keep);
  document.addEventListener("htmx:afterSettle", keep);

  /* ---- clicks ---- */
  const announce = (button) => {
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1200);
  };
  const copy = (button) => {
    const text = $("#" + button.dataset.copy)?.textContent ?? "";
    navigator.clipboard?.writeText(text).then(() => announce(button), () => {});
  };
  const theme = (form, value) => {
    root.dataset.theme = value;
    $('meta[name="color-scheme"]').content = value === "system" ? "light dark" : value;
    for (const b of $$("button", form)) b.value === value ? b.setAttribute("aria-current", "true") : b.removeAttribute("aria-current");
    fetch(form.action, { method: "POST", body: new URLSearchParams({ theme: value }), redirect: "manual" });
    form.closest("details").open = false;
  };
  document.addEventListener("click", (event) => {
    const on = (selector) => event.target.closest?.(selector);
    if (on("[data-copy]")) copy(on("[data-copy]"));
    else if (on("[data-help]")) $("#help").showModal();
    else if (on("[data-pause]")) togglePause();
    for (const menu of $$("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("[data-theme-form]") && event.submitter) {
      event.preventDefault();
      theme(form, event.submitter.value);
    } else if (form.dataset.confirm && !form.dataset.sure) {
      event.preventDefault();
      const dialog = $("#confirm");
      write($("#confirm-text"), form.dataset.confirm);
      dialog.returnValue = "no";
      dialog.showModal();
      dialog.onclose = () => { if (dialog.returnValue === "yes") { form.dataset.sure = "1"; form.requestSubmit(); } };
    }
  });

  /* ---- keys: single ones can be switched off, and none works while typing ---- */
  const keysOn = () => localStorage.getItem("keys") !== "off";
  const move = (step) => {
    const links = $$("a.over");
    const at = links.indexOf(document.activeElement);
    links[Math.max(0, Math.min(links.length - 1, at < 0 ? 0 : at + step))]?.focus();
  };
  const press = (selector) => $(selector)?.click();
  const submit = (key) => $(`form[data-key="${key}"]`)?.requestSubmit();
  const keys = {
    "/": () => $("#search")?.focus(),
    "?": () => $("#help")?.showModal(),
    ".": () => press("[data-load-new]"),
    j: () => move(1), ArrowDown: () => move(1),
    k: () => move(-1), ArrowUp: () => move(-1),
    p: () => $("#live-state") && togglePause(),
    x: () => { const row = document.activeElement.closest(".runs tbody"); if (row) $("input", row).click(); },
    e: () => press("[data-edit]"),
    r: () => submit("r"),
    c: () => submit("c"),
    l: () => { $("#log")?.scrollIntoView(); $("#log")?.focus(); },
    y: () => press("[data-copy]"),
    "[": () => press("[data-parent]"),
    "]": () => press("[data-child]"),
  };
  let leading = "";
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") for (const menu of $$("details.menu[open]")) menu.open = false;
    if (event.ctrlKey || event.metaKey || event.altKey || !keysOn() || $("dialog[open]")) return;
    if (event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]")) return;
    const key = event.key;
    const isArrow = key.startsWith("Arrow");
    if (isArrow && !document.activeElement?.matches("a.over")) return;
    const action = leading === "g" && /^[bqrs]$/.test(key) ? () => press(`[data-go="${key}"]`) : keys[key];
    leading = key === "g" ? "g" : "";
    if (action) { event.preventDefault(); action(); }
  });

  const ready = () => {
    follow();
    $(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
    const box = $("#keys-on");
    if (box) {
      box.checked = keysOn();
      box.onchange = () => localStorage.setItem("keys", box.checked ? "on" : "off");
    }
  };
  document.addEventListener("htmx:afterSettle", follow);
  ready();
})();
