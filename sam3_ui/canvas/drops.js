// What was dropped, as files: folders are opened, and the folders in them.

const read = (take) => new Promise((resolve, reject) => take(resolve, reject));

async function inside(entry) {
  if (entry.isFile) return [await read((ok, no) => entry.file(ok, no))];
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    const batch = await read((ok, no) => reader.readEntries(ok, no));
    if (!batch.length) return files;
    for (const each of sorted(batch)) files.push(...(await inside(each)));
  }
}

const sorted = (entries) => [...entries].sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));

/** All files of a drop, in the order of their names. */
export async function allFiles(transfer) {
  // Entries can only be asked for before anything is awaited.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return sorted(transfer.files);
  const files = [];
  for (const entry of sorted(entries)) files.push(...(await inside(entry)));
  return files;
}
