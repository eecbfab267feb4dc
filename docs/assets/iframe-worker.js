// Search in pages that are opened from a folder (file:), where browsers refuse workers: the worker's script runs
// in a hidden frame. On a server nothing is changed.
if (location.protocol === 'file:') {
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement('iframe');
      frame.hidden = true;
      document.body.append(frame);
      this.inner = frame.contentWindow;
      this.inner.postMessage = data => this.dispatchEvent(new MessageEvent('message', {data}));
      const script = this.inner.document.createElement('script');
      script.src = url;
      this.loaded = new Promise(resolve => script.addEventListener('load', resolve));
      this.inner.document.body.append(script);
    }
    postMessage(data) {
      this.loaded.then(() => this.inner.dispatchEvent(new MessageEvent('message', {data})));
    }
  };
}
