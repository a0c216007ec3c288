(function () {
  var now = Date.now() / 1000, late = false;
  var format = window.Intl && Intl.RelativeTimeFormat &&
    new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "always" });
  document.querySelectorAll("time[data-at]").forEach(function (one) {
    var age = now - Number(one.dataset.at);
    if (!format || age < 60) { return; }
    one.textContent = age < 3600 ? format.format(-Math.floor(age / 60), "minute")
      : age < 172800 ? format.format(-Math.floor(age / 3600), "hour")
      : format.format(-Math.floor(age / 86400), "day");
  });
  function turn(one) {
    one.className = one.className.replace(/\b(none|ok|warn|unknown)\b/, "bad");
    one.querySelector(".sign").textContent = "\u2715";
  }
  document.querySelectorAll("[data-due]").forEach(function (one) {
    if (now <= Number(one.dataset.due)) { return; }
    late = true;
    turn(one);
    one.querySelector(".word").textContent = one.dataset.late;
    var row = one.closest("tr");
    if (row && !row.classList.contains("bad")) { turn(row); }
    var group = one.closest("details.group");
    if (group && !group.classList.contains("bad")) {
      turn(group);
      group.querySelector(".late").hidden = false;
    }
  });
  var top = document.querySelector("header.top");
  if (late && !top.classList.contains("bad")) {
    turn(top);
    top.querySelector(".headline").textContent = top.dataset.late;
    document.title = "\u2715 " + top.dataset.late;
  }
})();
