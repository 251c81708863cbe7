// What HTML and htmx leave: sending a file as it is, with its progress, and copying a text.
"use strict";

function refused(text) {
  try {
    const problem = JSON.parse(text);
    return problem.what + " " + problem.fix;
  } catch {
    return "The upload broke off. Nothing was kept; try again.";
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-upload]")) return;
  event.preventDefault();
  const file = form.querySelector("input[type=file]").files[0];
  if (!file) return;
  const kind = file.name.endsWith(".parquet") ? "parquet" : file.name.endsWith(".gz") ? "csv.gz" : "csv";
  const bar = form.querySelector("progress");
  const status = form.querySelector("[role=status]");
  const button = form.querySelector("button");
  const request = new XMLHttpRequest();
  request.open("PUT", form.dataset.upload + "?kind=" + kind);
  request.setRequestHeader("X-Form-Token", form.dataset.token);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.upload.onprogress = (sent) => {
    bar.value = sent.total ? sent.loaded / sent.total : 0;
    status.textContent = sent.loaded === sent.total ? "Sent; being stored." : "Sending.";
  };
  request.onload = () => {
    if (request.status < 300) return location.reload();
    bar.hidden = true;
    button.disabled = false;
    status.textContent = refused(request.responseText);
  };
  request.onerror = () => {
    bar.hidden = true;
    button.disabled = false;
    status.textContent = refused("");
  };
  bar.hidden = false;
  button.disabled = true;
  request.send(file);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
  button.textContent = "Copied";
});
