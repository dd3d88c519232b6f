// Waiting as the server asks. When it is full, asked too often, or away, the same request is made again.

const FULL = new Set(["session_quota", "storage_quota"]); // waiting does not help: something has to be closed
const TRIES = 3; // of a request that breaks off while the server answers others

/** Whether an error says that nothing more may be kept. */
export const isFull = (error) => FULL.has(error.code);

/**
 * Make a call until it goes through or can't.
 * `call()`: a promise; `signal`: ends the waiting; `health()`: whether the server answers at all;
 * `onWait(sentence, seconds)`: it is waited now, and with null: no longer.
 */
export async function patiently(call, { signal, health, onWait = () => undefined }) {
  let broken = 0;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (signal.aborted) throw error;
      let seconds = 3;
      if (error.status === 429 && !isFull(error)) seconds = Math.min(60, Math.max(1, error.retryAfter || 5));
      else if (error.code !== "offline") throw error;
      else if (await answers(health)) {
        if (++broken === TRIES) throw error;
      }
      onWait(error.code === "offline" ? "Connection lost; it goes on by itself." : error.message, seconds);
      await pause(seconds, signal);
      onWait(null, 0);
    }
  }
}

const answers = (health) => health().then(() => true, () => false);

/** Wait some seconds, or until the signal comes, which is an error. */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    signal.addEventListener("abort", stop, { once: true });
  });
}
