for (const command of document.querySelectorAll(".zkr pre.cmd")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command.textContent.trim());
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(command);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  command.after(button);
}
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll(".zkr details")) folded.open = true;
});
const markdown = document.getElementById("zkr-markdown");
if (markdown) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy as Markdown";
  button.addEventListener("click", async () => {
    const text = markdown.content.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy as Markdown"; }, 2000);
    } catch {
      const field = document.createElement("textarea");
      field.readOnly = true;
      field.setAttribute("aria-label", "The report as Markdown");
      field.value = text;
      button.replaceWith(field);
      field.select();
    }
  });
  document.querySelector(".zkr .files").append(" ", button);
}
