// A click on a heading sorts its table; a second click turns the order round. What is missing stays last.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const heading = button.parentElement;
    const body = heading.closest("table").tBodies[0];
    const column = heading.cellIndex;
    const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of heading.parentElement.children) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
    const value = (row) => row.cells[column].dataset.v;
    const text = (row) => row.cells[column].textContent;
    const numeric = [...body.rows].some((row) => value(row) !== undefined);
    const rows = [...body.rows].sort((a, b) => {
      if (!numeric) return sign * text(a).localeCompare(text(b));
      if (value(a) === undefined || value(b) === undefined) return (value(a) === undefined) - (value(b) === undefined);
      return sign * (value(a) - value(b));
    });
    body.append(...rows);
  });
}
