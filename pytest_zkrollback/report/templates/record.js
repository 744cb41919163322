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
