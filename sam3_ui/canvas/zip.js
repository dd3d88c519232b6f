// A folder of frames as one zip, stored without compression: JPEG and PNG are compressed already.

const TABLE = new Uint32Array(256).map((_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

function crc32(bytes) {
  let c = 0xffffffff;
  for (const byte of bytes) c = TABLE[(c ^ byte) & 255] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

const record = (size, fields) => {
  const view = new DataView(new ArrayBuffer(size));
  for (const [at, bytes, value] of fields) bytes === 2 ? view.setUint16(at, value, true) : view.setUint32(at, value, true);
  return view.buffer;
};

/** A zip File of [{ name, file }] in this order. */
export async function zipFiles(entries, zipName) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const { name, file } of entries) {
    const title = new TextEncoder().encode(name);
    const bytes = new Uint8Array(await file.arrayBuffer());
    const common = [[2, crc32(bytes)], [6, bytes.length], [10, bytes.length]];
    const head = record(30, [[0, 4, 0x04034b50], [4, 2, 20], [6, 2, 0x800], ...common.map(([at, v]) => [at + 12, 4, v]), [26, 2, title.length]]);
    parts.push(head, title, bytes);
    directory.push(record(46, [[0, 4, 0x02014b50], [4, 2, 20], [6, 2, 20], [8, 2, 0x800], ...common.map(([at, v]) => [at + 14, 4, v]), [28, 2, title.length], [42, 4, offset]]), title);
    offset += 30 + title.length + bytes.length;
  }
  const size = directory.reduce((n, p) => n + p.byteLength, 0);
  const end = record(22, [[0, 4, 0x06054b50], [8, 2, entries.length], [10, 2, entries.length], [12, 4, size], [16, 4, offset]]);
  return new File([...parts, ...directory, end], zipName, { type: "application/zip" });
}
