// Checks a Quotawatt ledger. Written from docs/ledger.md; needs nothing but Node.
// node verify.mjs LEDGER SITE_JWKS [RECEIPTS EXCHANGE_JWKS]: findings as JSON lines; exit 0 good, 1 not.
import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
const [ledgerFile, siteFile, receiptFile, exchangeFile] = process.argv.slice(2);
const sha = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();
const b64 = (bytes) => bytes.toString("base64url"), hashOf = (line) => b64(sha(line));
const linesOf = (file) => readFileSync(file, "latin1").replace(/\n$/, "").split("\n").filter((line, i, all) => all.length > 1 || line);
const found = [], find = (word, record, text) => found.push({ word, epoch: record?.epoch ?? 0, seq: record?.seq ?? 0, text: `${text}` });
const must = (good, text) => { if (!good) throw new Error(text); };
const keyOf = ({ kty, crv, x }) => Object.assign(createPublicKey({ key: { kty, crv, x }, format: "jwk" }), { x });
const thumbprint = (jwk) => hashOf(`{"crv":"Ed25519","kty":"OKP","x":"${jwk.x}"}`);
const keysOf = (file) => new Map(JSON.parse(readFileSync(file, "utf8")).keys.map((jwk) => [jwk.kid ?? thumbprint(jwk), keyOf(jwk)]));
const decode = (text, bytes = Buffer.from(text, "base64url")) => (must(b64(bytes) === text, "base64url"), bytes);
const isObject = (v) => v !== null && typeof v === "object" && !Array.isArray(v), utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const canonical = (v) => Array.isArray(v) ? `[${v.map(canonical)}]`
  : isObject(v) ? `{${Object.keys(v).sort().map((name) => `${JSON.stringify(name)}:${canonical(v[name])}`)}}` : JSON.stringify(v);
const plain = (v) => typeof v === "number" ? Number.isSafeInteger(v) : typeof v === "string" ? !/\p{Surrogate}/u.test(v)
  : v === null || typeof v === "boolean" || Object.entries(v).flat().every(plain);
function openJws(line, typ) {
  const parts = line.split(".");
  must(line.length <= 65536 && parts.length === 3, "a compact JWS");
  const [header, payload, signature] = parts.map((part) => decode(part)), text = utf8.decode(payload);
  const [head, members] = [utf8.decode(header), text].map((json) => JSON.parse(json));
  must(fits({ alg: oneOf("EdDSA", "Ed25519"), kid: (v) => /^[\w.-]{1,64}$/.test(v), typ: oneOf(typ) })(head), "header");
  must(isObject(members) && plain(members) && canonical(members) === text, "canonical JSON"); // so no name twice either
  return { kid: head.kid, members, signed: (key) => verify(null, Buffer.from(`${parts[0]}.${parts[1]}`), key, signature) };
}
const whole = Number.isSafeInteger, count = (v) => whole(v) && v >= 0, positive = (v) => whole(v) && v >= 1;
const text = (v) => typeof v === "string" && v !== "", id = (v) => text(v) && /^[A-Za-z0-9][\w.-]{0,63}$/.test(v);
const hash = (v) => text(v) && /^[\w-]{43}$/.test(v), oneOf = (...words) => (v) => words.includes(v);
const or0 = (check) => (v) => v === null || check(v), each = (check) => (v) => Array.isArray(v) && v.length > 0 && v.every(check);
const iso = (s) => new Date(s * 1000).toISOString().replace(".000Z", "Z"), unix = (v) => (Date.parse(v) || 0) / 1000;
const time = (v) => text(v) && iso(unix(v)) === v, day = (v) => text(v) && time(`${v}T00:00:00Z`);
const fits = (shape) => (v) => isObject(v) && Object.keys(v).sort().join() === Object.keys(shape).sort().join()
  && Object.keys(shape).every((name) => shape[name](v[name]));
const states = (v) => isObject(v) && Object.entries(v).every(([s, n]) => /^(init|controlled|limited|failsafe)$/.test(s) && count(n));
const onlySite = { limit_wh: or0(count), limit_ref: or0(hash), floor_w: or0(count), over_s: or0(count), over_wh: or0(count),
  settle_s: or0(count), state_s: or0(states), output: or0(fits({ hashes_th: or0(count), gpu_s: or0(count) })) };
const measured = { point: id, start: time, dur_s: positive, reg_start_wh: or0(count), reg_end_wh: or0(count) };
const place = { epoch: positive, seq: positive }, all = { ...place, v: oneOf(1), site: id, prev: or0(hash), kind: text, fw: text };
const kinds = { epoch_open: { at: time, reason: oneOf("new", "storage-loss", "fork", "restore", "interval-change", "operator"), points: each(id),
    interval_s: (v) => positive(v) && 86400 % v === 0, before: or0(fits({ ...place, head_hash: hash })) },
  interval: { ...measured, ...onlySite, meter_sn: or0(text), wh: whole, max_w: or0(whole), samples: count, coverage_s: count,
    quality: oneOf(8, 9, 10, 17), time_status: oneOf("S", "I", "U") },
  gap: { ...measured, reason: oneOf("down", "no-meter", "no-clock", "partial"), wh: or0(whole) },
  event: { at: time, what: text, detail: isObject }, day_close: { day, count, wh: whole, root: hash },
  correction: { at: time, ref: fits(place), wh: whole, reason: text } };
const details = { __proto__: null, "meter-changed": fits({ point: id, from: or0(text), to: or0(text), reg_end_wh: or0(count), reg_start_wh: or0(count) }),
  "key-change": fits({ kid: text, jwk: (v) => isObject(v) && v.kty === "OKP" && v.crv === "Ed25519" && hash(v.x) && !("d" in v) }) };
function readRecord(line) {
  const jws = openJws(line, "qw-rec+jws"), r = { ...jws.members };
  must(Object.hasOwn(kinds, r.kind) && fits({ ...all, ...kinds[r.kind] })(r) && (details[r.what]?.(r.detail) ?? true), "members");
  return { ...r, jws, line, hash: hashOf(line) };
}
const vouched = new Map();
for (const line of receiptFile ? linesOf(receiptFile) : []) try {
  const exchange = keysOf(exchangeFile), { kid, members: c, signed } = openJws(line, "qw-receipt+jws"), where = `${c.epoch}/${c.through_seq}`;
  must(fits({ site: id, epoch: positive, through_seq: positive, head_hash: hash, received_at: time, receipt_id: text })(c), "claims");
  must(exchange.has(kid) && signed(exchange.get(kid)), "signature");
  vouched.set(where, [...(vouched.get(where) ?? []), c]);
} catch (error) { find("receipt", null, error.message); }
const keys = keysOf(siteFile), replaced = new Set(), good = [], last = new Map();
let at = { epoch: 0, seq: 0, hash: null }, site = null, pruned = 0;
for (const line of linesOf(ledgerFile)) {
  let r = null;
  try { r = readRecord(line); } catch (error) { at = { ...at, seq: at.seq + 1, hash: null }; find("form", at, error.message); good.push(null); continue; }
  if (r.epoch < at.epoch || (r.epoch === at.epoch && r.seq <= at.seq)) { find("sequence", r, "out of order"); continue; }
  if (r.seq !== (r.epoch === at.epoch ? at.seq + 1 : 1)) {
    const known = last.size === 1 && at.epoch === r.epoch && at.seq === 1 && vouched.get(`${r.epoch}/${r.seq - 1}`)?.some((c) => c.head_hash === r.prev);
    known ? pruned = r.seq : find("sequence", r, "records are missing");
    good.push(null);
  } else if (r.seq === 1 ? r.prev !== null : at.hash !== null && r.prev !== at.hash) find("chain", r, "prev");
  if (r.site !== (site ??= r.site)) find("site", r, r.site);
  const { kid, signed } = r.jws, { kid: next, jwk } = r.detail ?? {};
  if (!keys.has(kid) || replaced.has(kid)) find("key", r, kid);
  else if (!signed(keys.get(kid))) find("signature", r, kid);
  else if (r.what === "key-change") {
    if (replaced.has(next) || next === kid || (keys.has(next) && keys.get(next).x !== jwk.x)) find("key", r, next);
    else keys.set(next, keyOf(jwk)), replaced.add(kid);
  }
  if ((r.seq === 1) !== (r.kind === "epoch_open")) find("sequence", r, r.kind);
  if (r.ref && (r.ref.epoch > r.epoch || r.ref.seq > (r.ref.epoch === r.epoch ? r.seq - 1 : last.get(r.ref.epoch) ?? r.ref.seq))) find("reference", r, "ref");
  for (const c of vouched.get(`${r.epoch}/${r.seq}`) ?? []) if (c.head_hash !== r.hash || c.site !== r.site) find("receipt", r, c.receipt_id);
  vouched.delete(`${r.epoch}/${r.seq}`), last.set(r.epoch, r.seq), at = r, good.push(r);
}
for (const [c] of vouched.values()) if (c.through_seq >= pruned || c.epoch > Math.min(...last.keys())) find("receipt", { ...c, seq: c.through_seq }, "no record");
if (!last.size) find("form", null, "no record");
const fresh = () => ({ next: null, k: null, offset: 0, start: null, run: false });
const past = new Map(), days = new Map(); // past: by point and start, the point as it was before that record
let epoch = null, slot = 0, points = new Map(), closed = new Set(), partial = false;
function open(r, index) {
  const b = r.before, older = good.slice(0, index).filter(Boolean), seen = b && older.find((o) => o.epoch === b.epoch && o.seq === b.seq);
  if (r.epoch < unix(r.at)) find("epoch", r, "at");
  if (!b ? older.length && r.reason === "interval-change" : seen ? seen.hash !== b.head_hash && r.reason !== "fork"
    : ["operator", "interval-change", "fork"].includes(r.reason) && b.seq >= pruned) find("epoch", r, "before");
  const mine = good.slice(index).filter((o) => o?.epoch === r.epoch), first = new Map();
  for (const o of mine) if (r.points.includes(o.point) && !first.has(o.point)) first.set(o.point, unix(o.start));
  if (r.reason !== "interval-change") {
    for (const [name, s] of first) if (points.get(name)?.next > s && past.has(name + s)) points.set(name, past.get(name + s));
    for (const [name, leaves] of days) days.set(name, leaves.filter((leaf) => !(unix(leaf.start) >= first.get(leaf.point))));
    const from = [...[...first.values()].map((s) => iso(s).slice(0, 10)), mine.find((o) => o.day)?.day].filter(Boolean).sort()[0];
    closed = new Set([...closed].filter((name) => !(name >= from)));
  }
  points = new Map(r.points.map((name) => [name, points.get(name) ?? fresh()])), epoch = { ...r, first: new Set(r.points) }, slot = 0;
}
function measure(r) {
  const p = points.get(r.point), s = unix(r.start), isFirst = epoch.first.delete(r.point), lossy = /^(new|storage-loss|restore)$/.test(epoch.reason);
  if (!p || r.dur_s !== epoch.interval_s || s % epoch.interval_s) return find("grid", r, "off the grid");
  const regrid = isFirst && epoch.reason === "interval-change" && p.next - s < epoch.interval_s;
  if (p.next !== null && (s > p.next ? !(isFirst && lossy) : s < p.next && !regrid)) find("grid", r, `not ${iso(p.next)}`);
  if (isFirst && lossy && p.next !== null && p.next < s) for (const [name] of days) if (name < r.start.slice(0, 10)) closed.add(name);
  if (s < slot) find("grid", r, "order");
  if (s > slot && slot) for (const [name, q] of points) if (q.next === null ? epoch.first.has(name) : q.next < s) find("grid", r, name), q.next = s;
  slot = Math.max(slot, s), past.set(r.point + s, { ...p, next: s });
  const { reg_start_wh: from, reg_end_wh: to } = r;
  if ((from === null) !== (to === null) || (to === null && (r.quality === 17 || (p.k !== null && r.wh !== null)))) find("register", r, "null");
  if (to === null) p.run = p.k !== null;
  else {
    if ((p.k !== null && from !== p.k && from !== p.start) || (p.run && r.kind === "interval")) find("register", r, `not ${p.k}`);
    if (r.wh !== to - (p.k ?? from) + p.offset && !Number.isNaN(p.offset)) find("energy", r, "wh");
    Object.assign(p, { k: to, offset: 0, start: null, run: false });
  }
  const name = iso(s).slice(0, 10), isSite = r.point === epoch.points[0];
  if (closed.has(name)) find("day", r, "closed already");
  for (const [d, leaves] of days) if (d < name && leaves.length && !closed.has(d)) find("day", r, `${d} is open`), closed.add(d);
  days.set(name, [...(days.get(name) ?? []), Object.assign(r, { isSite })]), p.next = s + r.dur_s;
  if (!isSite && Object.keys(onlySite).some((o) => (r[o] ?? null) !== null)) find("form", r, "not the site meter");
}
function close(r) {
  const leaves = days.get(r.day) ?? [], end = unix(`${r.day}T00:00:00Z`) + 86400;
  if (closed.has(r.day) || [...points.values()].some((p) => p.next !== null && p.next < end)) find("day", r, r.day);
  if (!partial && (r.count !== leaves.length || r.wh !== leaves.reduce((sum, o) => sum + (o.isSite ? o.wh ?? 0 : 0), 0))) find("sum", r, r.day);
  let level = leaves.length ? leaves.map((o) => sha("\0", o.line)) : [sha("")];
  while (level.length > 1) level = level.flatMap((left, i) => i % 2 ? [] : [i + 1 < level.length ? sha("\x01", left, level[i + 1]) : left]);
  if (!partial && r.root !== b64(level[0])) find("root", r, r.day);
  closed.add(r.day), partial = false;
}
for (const [index, r] of good.entries()) {
  if (r === null) points = new Map([...points.keys()].map((name) => [name, fresh()])), slot = 0, partial ||= pruned > 0;
  else if (r.kind === "epoch_open") open(r, index);
  else if (r.what === "meter-changed") {
    const p = points.get(r.detail.point), { reg_end_wh: end, reg_start_wh: start } = r.detail;
    p ? (p.offset += end === null || start === null ? NaN : end - start, p.start = start) : find("register", r, "point");
  } else if (r.kind === "day_close") close(r);
  else if (r.point && epoch) measure(r);
}
process.exitCode = found.map((one) => console.log(JSON.stringify(one))).length ? 1 : 0;
