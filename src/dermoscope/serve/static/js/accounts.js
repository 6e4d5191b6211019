// What is shown once is copied by one press. Without this script it is marked whole and copied by hand.
const secret = document.getElementById("secret");
const copy = document.getElementById("copy");

secret.select();
secret.addEventListener("focus", () => secret.select());
copy.hidden = false;
copy.addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(secret.value);
  } catch {
    // a page without HTTPS has no clipboard of its own
    secret.select();
    document.execCommand("copy");
  }
  document.getElementById("copied").textContent = copy.dataset.copied;
});
