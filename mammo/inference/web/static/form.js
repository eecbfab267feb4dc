// Comfort only; the form works without it. Says that the computation runs, and stops an upload that is too large.
const form = document.querySelector('form');
if (form) {
  const button = form.querySelector('button');
  const progress = document.getElementById('progress');
  const chosen = () => [...form.querySelectorAll('input[type=file]')].flatMap((input) => [...input.files]);
  const fields = () => [...form.querySelectorAll('input:not([type=file]), select')];
  const typed = () => Object.fromEntries(fields().map((field) => [field.name, field.type === 'checkbox' ? field.checked : field.value]));
  form.addEventListener('submit', (event) => {
    const files = chosen();
    const bytes = files.reduce((sum, file) => sum + file.size, 0);
    if (bytes > Number(form.dataset.maxBytes)) {
      event.preventDefault();
      progress.textContent = `The files have ${Math.ceil(bytes / 2 ** 20)} MB, which is too much. Choose the images of one exam only.`;
      return;
    }
    history.replaceState({ typed: typed() }, ''); // Back finds it again; gone with the tab
    button.disabled = true;
    button.textContent = 'Computing …';
    progress.textContent = `${files.length} file${files.length === 1 ? '' : 's'}: the answer may take up to a minute.`;
  });
  addEventListener('pageshow', () => { // also when the browser goes back to this page
    for (const field of history.state?.typed ? fields() : []) {
      if (field.type === 'checkbox') field.checked = history.state.typed[field.name];
      else if (!field.value) field.value = history.state.typed[field.name] ?? '';
    }
    button.disabled = false;
    button.textContent = 'Compute';
    progress.textContent = '';
  });
}
