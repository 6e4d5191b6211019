/* Browsers refuse a Worker in a page that was opened from the disk. Its script then runs in a hidden frame, which speaks
   with the page as a Worker would; the page freezes for a moment while it searches. On a server nothing is changed. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.srcdoc =
        "<script>" +
        "window.postMessage = (message) => parent.postMessage(message, '*');" +
        "window.importScripts = (...urls) => urls.reduce((before, url) => before.then(() => new Promise((done) => {" +
        "const script = document.createElement('script'); script.src = url; script.onload = done;" +
        "document.body.appendChild(script); })), Promise.resolve());" +
        "<\/script><body><script src='" + url + "'><\/script></body>";
      this.frame.onload = () => {
        this.ready = true;
        this.waiting.splice(0).forEach((message) => this.postMessage(message));
      };
      window.addEventListener("message", (event) => {
        if (event.source !== this.frame.contentWindow) return;
        const told = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(told);
        if (this.onmessage) this.onmessage(told);
      });
      document.body.appendChild(this.frame);
    }
    postMessage(message) {
      if (!this.ready) this.waiting.push(message);
      else this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data: message }));
    }
    terminate() {
      this.frame.remove();
    }
  };
}
