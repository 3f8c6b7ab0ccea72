import type { Failures } from "./failures.en";

export const failures: Failures = {
  offline: { what: "오프라인이에요", next: "사진은 휴대폰에 안전하게 있어요. 연결되면 바로 보낼게요." },
  offline_sent: {
    what: "오프라인이에요",
    next: "사진은 서버에 있고 분석이 이어지고 있어요. 연결되면 결과를 바로 보여줄게요.",
  },
  unreachable: {
    what: "서버에 연결할 수 없어요",
    next: "사라진 건 없어요. 계속 시도하고 있으니 화면을 잠가도 돼요.",
  },
  unauthorized: { what: "이 서버는 키가 필요해요", next: "서버 주인에게 받은 키를 입력해 주세요." },
  api_key_missing: { what: "이 서버는 키가 필요해요", next: "서버 주인에게 받은 키를 입력해 주세요." },
  api_key_invalid: { what: "키가 맞지 않아요", next: "한 글자씩 확인하거나 서버 주인에게 문의해 주세요." },
  host_not_trusted: {
    what: "이 주소로는 서버를 쓸 수 없어요",
    next: "서버 주인이 알려준 주소로 열어 주세요.",
  },
  forbidden: { what: "이 키로는 할 수 없어요", next: "서버 주인에게 문의하거나 다른 키를 입력해 주세요." },
  rate_limited: {
    what: "짧은 시간에 사진을 많이 보냈어요",
    next: "서버가 잠시 쉬자고 하네요. 알아서 이어갈게요.",
  },
  not_an_image: { what: "사진 파일이 아니에요", next: "JPEG, PNG, WebP, HEIC, AVIF 사진을 골라 주세요." },
  photo_unreadable: {
    what: "사진을 열 수 없어요",
    next: "파일이 손상된 것 같아요. 다른 사진을 고르거나 새로 찍어 주세요.",
  },
  device_full: { what: "휴대폰에 공간이 없어요", next: "기록을 몇 개 지운 뒤 다시 시도해 주세요." },
  unexpected: {
    what: "예상하지 못한 문제가 생겼어요",
    next: "다시 시도해 주세요. 계속되면 앱을 새로고침해 주세요.",
  },
  cancelled: { what: "분석을 취소했어요", next: "서버의 사진은 삭제됐어요. 다시 보낼 수 있어요." },
  content_type_unsupported: {
    what: "서버가 업로드를 이해하지 못했어요",
    next: "앱을 새로고침해 최신 버전으로 다시 시도해 주세요.",
  },
  idempotency_key_invalid: {
    what: "서버가 업로드를 이해하지 못했어요",
    next: "앱을 새로고침해 최신 버전으로 다시 시도해 주세요.",
  },
  idempotency_key_reused: { what: "다른 사진과 섞였어요", next: "다시 보내면 따로 분석해요." },
  internal_error: {
    what: "서버에서 오류가 났어요",
    next: "다시 시도해 주세요. 계속되면 서버 주인에게 알려 주세요.",
  },
  corrections_invalid: {
    what: "고친 내용이 결과와 맞지 않아요",
    next: "휴대폰에는 남아 있어요. 앱을 새로고침해 최신 버전으로 바꿔 주세요.",
  },
  corrections_not_found: { what: "고친 내용이 없어요", next: "휴대폰에는 그대로 있어요." },
  corrections_too_many_bytes: {
    what: "고친 내용이 너무 많아요",
    next: "휴대폰에는 남아 있어요. 홀드를 더 단순하게 그려 주세요.",
  },
  job_crashed: {
    what: "서버가 이 사진을 감당하지 못해요",
    next: "두 번이나 멈췄어요. 다른 위치에서 다시 찍어 주세요.",
  },
  job_not_found: {
    what: "서버에 이 분석이 더는 없어요",
    next: "결과는 잠시만 보관돼요. 사진은 여기 있으니 다시 보내 주세요.",
  },
  job_not_done: { what: "아직 결과가 없어요", next: "분석이 끝날 때까지 기다려 주세요." },
  job_timed_out: {
    what: "분석이 너무 오래 걸렸어요",
    next: "서버가 바쁜 것 같아요. 다시 시도하거나 홀드가 적게 나오도록 찍어 주세요.",
  },
  last_event_id_invalid: { what: "앱과 서버가 서로를 놓쳤어요", next: "사진을 다시 보내 주세요." },
  memory_short: { what: "서버 메모리가 부족해요", next: "여유가 생기는 대로 시작해요. 계속 시도할게요." },
  not_ready: { what: "서버가 아직 준비 중이에요", next: "모델을 불러오고 있어요. 알아서 이어갈게요." },
  photo_corrupt: { what: "사진이 손상됐어요", next: "다른 사진을 고르거나 새로 찍어 주세요." },
  photo_empty: {
    what: "사진이 비어 있어요",
    next: "클라우드에서 받는 중일 수 있어요. 갤러리에서 먼저 연 뒤 다시 골라 주세요.",
  },
  photo_missing: { what: "사진이 휴대폰에 더는 없어요", next: "브라우저가 정리했어요. 다시 찍어 주세요." },
  photo_needs_too_much_memory: {
    what: "서버에는 너무 무거운 사진이에요",
    next: "화면을 캡처하거나 잘라낸 뒤 그 사진을 골라 주세요.",
  },
  photo_too_many_bytes: { what: "파일이 너무 커요", next: "벽만 남도록 자른 뒤 다시 골라 주세요." },
  photo_too_many_pixels: { what: "해상도가 너무 높아요", next: "벽만 남도록 자른 뒤 다시 골라 주세요." },
  photo_too_small: { what: "사진이 너무 작아요", next: "홀드를 구분할 수 있는 사진을 골라 주세요." },
  photo_truncated: { what: "사진의 일부가 없어요", next: "다시 고르거나 새로 찍어 주세요." },
  photo_type_unsupported: {
    what: "지원하지 않는 파일이에요",
    next: "JPEG, PNG, WebP, HEIC, AVIF 사진을 골라 주세요.",
  },
  queue_full: { what: "기다리는 사람이 많아요", next: "자리가 나는 대로 시작해요. 계속 시도할게요." },
  shutting_down: {
    what: "서버가 다시 시작하고 있어요",
    next: "돌아오면 분석이 이어져요. 계속 시도할게요.",
  },
  storage_full: {
    what: "서버의 저장 공간이 가득 찼어요",
    next: "나중에 다시 시도하거나 서버 주인에게 알려 주세요.",
  },
  storage_unavailable: {
    what: "서버가 지금 사진을 저장할 수 없어요",
    next: "계속 시도할게요. 이어지면 서버 주인에게 알려 주세요.",
  },
  upload_malformed: {
    what: "사진이 온전히 도착하지 않았어요",
    next: "네트워크가 더 좋은 곳에서 다시 보내 주세요.",
  },
  upload_timed_out: {
    what: "업로드가 너무 느렸어요",
    next: "네트워크가 더 좋은 곳으로 옮겨 주세요. 계속 시도할게요.",
  },
  wall_angle_unknown: {
    what: "서버가 모르는 기울기예요",
    next: "앱을 새로고침해 최신 버전으로 다시 시도해 주세요.",
  },
};
