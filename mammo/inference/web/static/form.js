// Comfort only; the form works without it. Finds values out of range and uploads that are too large before anything is
// sent, says that the upload runs, and keeps what was typed for Back.
const form = document.querySelector('form');
if (form) {
  const button = form.querySelector('button');
  const progress = document.getElementById('progress');
  const fields = () => [...form.querySelectorAll('input:not([type=file]), select')];
  const check = (input) => { // letters are refused by the pattern
    const value = Number(input.value.trim().replace(',', '.'));
    const isOut = input.value.trim() && (value < Number(input.dataset.low) || value > Number(input.dataset.high));
    input.setCustomValidity(isOut ? input.title : '');
  };
  const restore = (field, typed) => {
    const own = typed.filter(([name]) => name === field.name).map(([, value]) => value);
    if (['radio', 'checkbox'].includes(field.type)) field.checked = own.includes(field.value);
    else field.value = own[0] ?? '';
  };
  form.addEventListener('input', ({ target }) => { if (target.dataset.low) check(target); });
  form.addEventListener('submit', (event) => {
    const sent = [...new FormData(form)];
    const files = sent.map(([, value]) => value).filter((value) => value instanceof File && value.name);
    const bytes = files.reduce((sum, file) => sum + file.size, 0);
    if (bytes > Number(form.dataset.maxBytes)) {
      event.preventDefault();
      progress.textContent = `The files have ${Math.ceil(bytes / 2 ** 20)} MB, which is too much. Choose the images of one exam only.`;
      return;
    }
    history.replaceState({ typed: sent.filter(([, value]) => typeof value === 'string') }, ''); // gone with the tab
    button.disabled = true;
    button.textContent = 'Sending …';
    progress.textContent = `${files.length} file${files.length === 1 ? '' : 's'}, ${Math.ceil(bytes / 2 ** 20)} MB.`;
  });
  addEventListener('pageshow', () => { // also when the browser goes back to this page
    for (const field of history.state?.typed ? fields() : []) restore(field, history.state.typed);
    for (const field of fields()) if (field.dataset.low) check(field);
    button.disabled = false;
    button.textContent = 'Compute';
    progress.textContent = '';
  });
}
