// Written by `npm run api` from the service's OpenAPI description. Do not edit.
export interface paths {
    "/api/analyze-stream": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Analyse a photo, stage by stage
         * @description Answers `text/event-stream`: each event has an `id:` and one line of JSON in
         *     `data:`, with `job_id seq step progress message elapsed_ms memory` and what its step adds.
         *
         *     Steps in order: `queued` (`position`: analyses ahead of yours; repeated while waiting), `upload`,
         *     `detection`, `detection_complete` (`holds_count`, `holds_kept`, `truncated`), `clustering` (`done`, `total`;
         *     per batch), `clustering_complete` (`problems_count`), `analysis`, `analysis_complete`, `result_stats`
         *     (`statistics`), `result_holds` (`hold_data`), `result_problems` (`problems`), `complete` (`result`: the
         *     whole of it). `progress` never falls; 100 comes once, with `complete`. A failure after the stream began is
         *     `error` with `code` and `message`. On a cluster `retry` may come: a machine of it failed, and the steps
         *     begin again on another.
         *
         *     `message` is Korean or English by `Accept-Language`. The analysis is a job: closing the stream does not end
         *     it, and `GET /api/jobs/{job_id}/events` with `Last-Event-ID` goes on where it broke. When the server is
         *     stopped, the stream ends with `error`, code `shutting_down`, whose `id` is that of the event before: resume
         *     once it is back.
         *     `curl -N -F image=@photo.jpg http://localhost:8000/api/analyze-stream`
         */
        post: operations["analyze_stream_api_analyze_stream_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/analyze": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Analyse a photo, in one answer
         * @description The same as `complete` carries in the stream. A client that hangs up does not end
         *     the analysis: with an `Idempotency-Key`, sending the same photo again answers with the same job.
         */
        post: operations["analyze_api_analyze_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/jobs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Take a photo, answer later
         * @description Answers when the photo is safe on the disk: from then on the job ends, whatever
         *     happens to the connection, the process or the power. The same photo with the same `Idempotency-Key`, within
         *     the lifetime of its job, answers with that job; another photo with it is 422.
         *
         *     The photo is deleted when the analysis ends; the result and the events are kept for JOB_TTL_S.
         */
        post: operations["post_job_api_jobs_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/jobs/{job_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** How it stands, with its result once it is done */
        get: operations["get_job_api_jobs__job_id__get"];
        put?: never;
        post?: never;
        /**
         * Cancel it where it has not ended, and erase its photo and results
         * @description A queued job is cancelled at once, a running one at its next batch; `status` is
         *     `cancelled` from now on, and open streams end with `error`, code `cancelled`. A job that has ended is gone:
         *     404 from now on. What was kept for training from it goes too, also where the job itself has expired.
         */
        delete: operations["delete_job_api_jobs__job_id__delete"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/jobs/{job_id}/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Its events, from the first or from Last-Event-ID on
         * @description The events of `POST /api/analyze-stream`, those that were and then those that come:
         *     all of them, or with `Last-Event-ID` those after it, none missing and none twice. A comment every 15 seconds
         *     keeps the line open.
         *
         *     204 where the job has ended and nothing is left to tell. After a restart of the server the steps begin
         *     again, under higher numbers; `progress` does not fall.
         */
        get: operations["get_events_api_jobs__job_id__events_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/jobs/{job_id}/corrections": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What was put right */
        get: operations["get_corrections_api_jobs__job_id__corrections_get"];
        put?: never;
        /**
         * Put the result right
         * @description All that a climber put right, relative to the result: the latest replaces the
         *     one before, so that sending it again does no harm. A hold that is not named is as the result has it.
         *
         *     It is kept as long as the result. Only where the owner of the server allows it (`keeps_corrections` in
         *     `/api/health`) and the climber does (`share`), photo, result and corrections are kept for training beyond
         *     that; `DELETE` of the job erases them, then too.
         */
        post: operations["post_corrections_api_jobs__job_id__corrections_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/health": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What answers, from which models, in how much memory */
        get: operations["health_api_health_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/livez": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The process answers; it says nothing of the models */
        get: operations["livez_livez_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Photos should be sent here: the models are loaded, and analyses go well */
        get: operations["readyz_readyz_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What Prometheus scrapes */
        get: operations["metrics_metrics_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * AcceptedAnswer
         * @description A job that will be answered.
         * @example {
         *       "job_id": "6f0e3a52-3b0e-4a1c-9a53-2f1f6f6f0b11",
         *       "status": "queued"
         *     }
         */
        AcceptedAnswer: {
            /** Job Id */
            job_id: string;
            /**
             * Status
             * @enum {string}
             */
            status: "queued" | "running" | "done" | "failed" | "cancelled";
        };
        /**
         * AddedHold
         * @description A hold that was missed.
         */
        AddedHold: {
            /**
             * Contour
             * @description pixels of the upright original photo
             */
            contour: [
                number,
                number
            ][];
            /**
             * Color
             * @enum {string}
             */
            color: "black" | "white" | "gray" | "red" | "orange" | "yellow" | "green" | "blue" | "purple" | "pink" | "brown" | "mint" | "lime" | "unknown";
            /**
             * Kind
             * @enum {string}
             */
            kind: "hold" | "volume";
            /**
             * Problem
             * @description null or 0: none
             */
            problem?: number | null;
        };
        /**
         * Alive
         * @example {
         *       "alive": true
         *     }
         */
        Alive: {
            /**
             * Alive
             * @default true
             * @constant
             */
            alive: true;
        };
        /**
         * ClimbType
         * @description What the moves look like from their geometry.
         */
        ClimbType: {
            /** Primary Type */
            primary_type: string;
            /** Types */
            types: string[];
            /** Confidence */
            confidence: number;
        };
        /**
         * ComponentStatus
         * @description Which models answer. `clip: false` means that a lesser CLIP than the one asked for answers, or none.
         */
        ComponentStatus: {
            /** Yolo */
            yolo: boolean;
            /** Clip */
            clip: boolean;
        };
        /**
         * Corrections
         * @description All that a climber put right, relative to the result: the latest replaces the one before.
         */
        Corrections: {
            /**
             * Holds
             * @default []
             */
            holds: components["schemas"]["HoldCorrection"][];
            /**
             * Added
             * @default []
             */
            added: components["schemas"]["AddedHold"][];
            /**
             * Problems
             * @default []
             */
            problems: components["schemas"]["ProblemCorrection"][];
            /**
             * Share
             * @description the climber allows that the corrected photo is kept for training (keeps_corrections)
             * @default false
             */
            share: boolean;
        };
        /**
         * Device
         * @description A choice, for people and for programs.
         */
        Device: {
            /**
             * Kind
             * @enum {string}
             */
            kind: "cpu" | "cuda";
            /** Reason */
            reason: string;
        };
        /**
         * Difficulty
         * @description An estimate from geometry, no setter's grade (docs/difficulty.md). V-scale.
         */
        Difficulty: {
            /** Grade */
            grade: string;
            /** Low */
            low: string;
            /** High */
            high: string;
            /** Confidence */
            confidence: number;
            /** Factors */
            factors: string[];
        };
        /**
         * Health
         * @description What answers, and how well.
         * @example {
         *       "component_status": {
         *         "clip": true,
         *         "yolo": true
         *       },
         *       "device": {
         *         "kind": "cpu",
         *         "reason": "RUNTIME=onnx knows nothing else"
         *       },
         *       "is_dummy": false,
         *       "keeps_corrections": false,
         *       "key_required": false,
         *       "memory": {
         *         "available_mb": 96.8,
         *         "limit_mb": 256,
         *         "peak_mb": 241,
         *         "percent": 62.2,
         *         "rss_mb": 159.2
         *       },
         *       "models": [
         *         {
         *           "is_dummy": false,
         *           "name": "holds-yolo11n-seg",
         *           "precision": "fp32",
         *           "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
         *           "source": "bundled"
         *         }
         *       ],
         *       "queue": {
         *         "running": 0,
         *         "waiting": 0
         *       },
         *       "ready": true,
         *       "status": "ok",
         *       "timings_ms": {
         *         "clip": 1420.9,
         *         "decode": 61,
         *         "detection": 118.4
         *       },
         *       "uptime_s": 86400,
         *       "version": "0.1.0"
         *     }
         */
        Health: {
            /**
             * Status
             * @description degraded: a lesser part stands in for a missing one, one has no real weights and `is_dummy` is true, or the latest analyses failed; unavailable: photos are refused
             * @enum {string}
             */
            status: "ok" | "degraded" | "unavailable";
            /** Version */
            version: string;
            component_status: components["schemas"]["ComponentStatus"];
            /** Models */
            models: components["schemas"]["ModelInfo"][];
            /** @description where they compute, and why; null until they are loaded */
            device: components["schemas"]["Device"] | null;
            memory: components["schemas"]["MemoryUsage"];
            /**
             * Is Dummy
             * @description a model without real weights answers: its answers mean nothing
             */
            is_dummy: boolean;
            /**
             * Error Reason
             * @description what is missing, has no real weights or goes wrong, and what to do about it
             */
            error_reason: string | null;
            queue: components["schemas"]["QueueStatus"];
            /**
             * Ready
             * @description as /readyz says
             */
            ready: boolean;
            /**
             * Uptime S
             * @description since the server began to listen
             */
            uptime_s: number;
            /**
             * Timings Ms
             * @description what the stages of the last finished analysis took; null before the first
             */
            timings_ms: {
                [key: string]: number;
            } | null;
            /**
             * Keeps Corrections
             * @description corrected photos are kept for training where the climber shares them (KEEP_CORRECTIONS)
             */
            keeps_corrections: boolean;
            /**
             * Key Required
             * @description everything else under /api/ wants a key
             */
            key_required: boolean;
        };
        /**
         * Hold
         * @description One hold or volume.
         */
        Hold: {
            /** Id */
            id: number;
            /** Center */
            center: [
                number,
                number
            ];
            /**
             * Area
             * @description px² of the mask
             */
            area: number;
            /**
             * Bbox
             * @description x1, y1, x2, y2
             */
            bbox: [
                number,
                number,
                number,
                number
            ];
            /** Contour */
            contour: [
                number,
                number
            ][];
            /** Score */
            score: number;
            /**
             * Kind
             * @enum {string}
             */
            kind: "hold" | "volume";
            /**
             * Color
             * @description its problem's colour; its own where it belongs to no problem
             * @enum {string}
             */
            color: "black" | "white" | "gray" | "red" | "orange" | "yellow" | "green" | "blue" | "purple" | "pink" | "brown" | "mint" | "lime" | "unknown";
            /**
             * Individual Color
             * @enum {string}
             */
            individual_color: "black" | "white" | "gray" | "red" | "orange" | "yellow" | "green" | "blue" | "purple" | "pink" | "brown" | "mint" | "lime" | "unknown";
            /**
             * Color Scores
             * @description the three likeliest colours
             */
            color_scores: {
                [key: string]: number;
            };
            /** Rgb */
            rgb: [
                number,
                number,
                number
            ];
            /**
             * Hsv
             * @description degrees 0..360, then percent, percent
             */
            hsv: [
                number,
                number,
                number
            ];
            /**
             * Lab
             * @description CIE L*a*b*, D65
             */
            lab: [
                number,
                number,
                number
            ];
            /**
             * Tag
             * @description from a card beside it; else its problem's estimate, which the problem then says
             */
            tag?: ("start" | "top") | null;
        };
        /**
         * HoldCorrection
         * @description What is to be changed of one hold of the result. Null or absent: unchanged.
         */
        HoldCorrection: {
            /** Id */
            id: number;
            /** Color */
            color?: ("black" | "white" | "gray" | "red" | "orange" | "yellow" | "green" | "blue" | "purple" | "pink" | "brown" | "mint" | "lime" | "unknown") | null;
            /** Kind */
            kind?: ("hold" | "volume") | null;
            /**
             * Problem
             * @description the problem it belongs to; 0: to none
             */
            problem?: number | null;
            /**
             * Deleted
             * @description there is no hold
             * @default false
             */
            deleted: boolean;
        };
        /**
         * JobAnswer
         * @description A job as it stands.
         * @example {
         *       "created_at": "2026-11-21T08:20:01.123+00:00",
         *       "job_id": "6f0e3a52-3b0e-4a1c-9a53-2f1f6f6f0b11",
         *       "result": {
         *         "component_status": {
         *           "clip": true,
         *           "yolo": true
         *         },
         *         "degraded": false,
         *         "hold_data": [
         *           {
         *             "area": 18234,
         *             "bbox": [
         *               1440,
         *               2140.5,
         *               1580,
         *               2281
         *             ],
         *             "center": [
         *               1510.2,
         *               2210.7
         *             ],
         *             "color": "yellow",
         *             "color_scores": {
         *               "lime": 0.04,
         *               "orange": 0.02,
         *               "yellow": 0.93
         *             },
         *             "contour": [
         *               [
         *                 1440,
         *                 2210
         *               ],
         *               [
         *                 1510,
         *                 2140.5
         *               ],
         *               [
         *                 1580,
         *                 2210
         *               ],
         *               [
         *                 1510,
         *                 2281
         *               ]
         *             ],
         *             "hsv": [
         *               49.3,
         *               82.3,
         *               90.6
         *             ],
         *             "id": 1,
         *             "individual_color": "yellow",
         *             "kind": "hold",
         *             "lab": [
         *               80.4,
         *               1.2,
         *               74.6
         *             ],
         *             "rgb": [
         *               231,
         *               197,
         *               41
         *             ],
         *             "score": 0.91
         *           }
         *         ],
         *         "image_height": 4032,
         *         "image_width": 3024,
         *         "is_dummy": false,
         *         "job_id": "6f0e3a52-3b0e-4a1c-9a53-2f1f6f6f0b11",
         *         "memory": {
         *           "available_mb": 96.8,
         *           "limit_mb": 256,
         *           "peak_mb": 241,
         *           "percent": 62.2,
         *           "rss_mb": 159.2
         *         },
         *         "problems": [
         *           {
         *             "color_name": "yellow",
         *             "color_rgb": [
         *               231,
         *               197,
         *               41
         *             ],
         *             "hold_count": 1,
         *             "holds": [
         *               1
         *             ],
         *             "id": 1,
         *             "start_estimated": false,
         *             "start_ids": [],
         *             "top_estimated": false,
         *             "top_ids": []
         *           }
         *         ],
         *         "statistics": {
         *           "analyzable_problems": 0,
         *           "holds_kept": 1,
         *           "total_holds": 1,
         *           "total_problems": 1,
         *           "truncated": false
         *         },
         *         "timings_ms": {
         *           "clip": 1420.9,
         *           "decode": 61,
         *           "detection": 118.4
         *         }
         *       },
         *       "status": "done"
         *     }
         */
        JobAnswer: {
            /** Job Id */
            job_id: string;
            /**
             * Status
             * @enum {string}
             */
            status: "queued" | "running" | "done" | "failed" | "cancelled";
            /**
             * Created At
             * Format: date-time
             */
            created_at: string;
            /**
             * Position
             * @description analyses ahead of it while it is queued
             */
            position: number | null;
            /** @description once it is done */
            result: components["schemas"]["Result"] | null;
            /** @description once it has failed or was cancelled */
            error: components["schemas"]["JobFailure"] | null;
        };
        /** JobFailure */
        JobFailure: {
            /**
             * Code
             * @description stable, for programs
             */
            code: string;
            /**
             * Message
             * @description Korean or English by Accept-Language
             */
            message: string;
        };
        /**
         * MemoryUsage
         * @description Memory of this process, and what its container (cgroup v1 or v2, else the host) allows. MiB.
         */
        MemoryUsage: {
            /** Rss Mb */
            rss_mb: number;
            /** Peak Mb */
            peak_mb: number;
            /**
             * Percent
             * @description rss_mb as a percentage of limit_mb
             */
            percent: number;
            /** Limit Mb */
            limit_mb: number;
            /** Available Mb */
            available_mb: number;
        };
        /**
         * ModelInfo
         * @description What an answer says of the model behind it.
         */
        ModelInfo: {
            /** Name */
            name: string;
            /** Source */
            source: string;
            /** Precision */
            precision: string;
            /** Sha256 */
            sha256: string;
            /** Is Dummy */
            is_dummy: boolean;
        };
        /**
         * Problem
         * @description A boulder problem: holds of one colour in one place. Fewer than three are listed, not analysed.
         */
        Problem: {
            /** Id */
            id: number;
            /**
             * Color Name
             * @enum {string}
             */
            color_name: "black" | "white" | "gray" | "red" | "orange" | "yellow" | "green" | "blue" | "purple" | "pink" | "brown" | "mint" | "lime" | "unknown";
            /** Color Rgb */
            color_rgb: [
                number,
                number,
                number
            ];
            /** Hold Count */
            hold_count: number;
            /** Holds */
            holds: number[];
            difficulty: components["schemas"]["Difficulty"] | null;
            climb_type: components["schemas"]["ClimbType"] | null;
            /** Start Ids */
            start_ids: number[];
            /** Top Ids */
            top_ids: number[];
            /**
             * Start Estimated
             * @description start_ids come from where holds are, not from a START card
             */
            start_estimated: boolean;
            /**
             * Top Estimated
             * @description top_ids come from where holds are, not from a TOP card
             */
            top_estimated: boolean;
        };
        /**
         * ProblemCorrection
         * @description Where a problem starts and ends. Null or absent: as the result has it, which may be an estimate.
         */
        ProblemCorrection: {
            /**
             * Id
             * @description a problem of the result, or a new one
             */
            id: number;
            /**
             * Start
             * @description hold ids; `aN`: the Nth of added
             */
            start?: (number | string)[] | null;
            /**
             * Top
             * @description as start
             */
            top?: (number | string)[] | null;
        };
        /** QueueStatus */
        QueueStatus: {
            /** Running */
            running: number;
            /** Waiting */
            waiting: number;
        };
        /**
         * Ready
         * @example {
         *       "ready": true
         *     }
         */
        Ready: {
            /**
             * Ready
             * @default true
             * @constant
             */
            ready: true;
        };
        /**
         * Result
         * @description The whole answer, as `complete` and `POST /api/analyze` carry it.
         */
        Result: {
            /** Job Id */
            job_id: string;
            /** Image Width */
            image_width: number;
            /** Image Height */
            image_height: number;
            statistics: components["schemas"]["Statistics"];
            /** Hold Data */
            hold_data: components["schemas"]["Hold"][];
            /** Problems */
            problems: components["schemas"]["Problem"][];
            component_status: components["schemas"]["ComponentStatus"];
            /**
             * Is Dummy
             * @description a model without real weights took part: the answer means nothing
             */
            is_dummy: boolean;
            /**
             * Degraded
             * @description a part is missing and a lesser one stood in; error_reason says which
             */
            degraded: boolean;
            /** Error Reason */
            error_reason: string | null;
            /** Timings Ms */
            timings_ms: {
                [key: string]: number;
            };
            memory: components["schemas"]["MemoryUsage"];
        };
        /** Statistics */
        Statistics: {
            /** Total Holds */
            total_holds: number;
            /** Holds Kept */
            holds_kept: number;
            /** Truncated */
            truncated: boolean;
            /** Total Problems */
            total_problems: number;
            /** Analyzable Problems */
            analyzable_problems: number;
        };
        /**
         * Problem
         * @description RFC 9457 problem details, as application/problem+json.
         * @example {
         *       "code": "photo_truncated",
         *       "detail": "The file ends before its picture does: upload it again.",
         *       "instance": "urn:holdcheck:request:1f0c5a4e9b7d4c5f8a2e6d3b0c9f7e1a",
         *       "status": 400,
         *       "title": "The photo is cut short",
         *       "type": "urn:holdcheck:problem:photo_truncated"
         *     }
         */
        ProblemDetails: {
            /**
             * Type
             * @description URI of this kind of problem
             */
            type: string;
            /**
             * Title
             * @description this kind of problem in a few words; always the same for a code
             */
            title: string;
            /** Status */
            status: number;
            /**
             * Detail
             * @description what was wrong this time, and what is accepted
             */
            detail: string;
            /**
             * Code
             * @description stable, for programs
             */
            code: string;
            /**
             * Instance
             * @description URI of this occurrence: the request's id, which the log lines carry
             */
            instance: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    analyze_stream_api_analyze_stream_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description names this photo's job: sent again, it answers with the same job */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "multipart/form-data": {
                    /**
                     * Format: binary
                     * @description JPEG, PNG, WebP, HEIC or AVIF
                     */
                    image?: string;
                    /**
                     * Format: binary
                     * @description the same under the name that many clients send
                     */
                    file?: string;
                    /** @enum {string} */
                    wall_angle?: "slab" | "face" | "overhang";
                } & (unknown | unknown);
            };
        };
        responses: {
            /** @description The events */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example id: 1
                     *     data: {"job_id":"6f0e3a52-3b0e-4a1c-9a53-2f1f6f6f0b11","seq":1,"step":"queued","progress":0,"message":"It is your photo's turn","elapsed_ms":0,"memory":{"rss_mb":159.2,"peak_mb":241.0,"percent":62.2,"limit_mb":256.0,"available_mb":96.8},"position":0}
                     *
                     *     id: 4
                     *     data: {"job_id":"6f0e3a52-3b0e-4a1c-9a53-2f1f6f6f0b11","seq":4,"step":"detection_complete","progress":30,"message":"Found 1 hold","elapsed_ms":214,"memory":{"rss_mb":159.2,"peak_mb":241.0,"percent":62.2,"limit_mb":256.0,"available_mb":96.8},"holds_count":1,"holds_kept":1,"truncated":false}
                     */
                    "text/event-stream": unknown;
                };
            };
            /** @description The photo is empty; The photo is cut short; The photo is damaged; The photo is too small; The multipart body is malformed; The Idempotency-Key is invalid */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The upload took too long */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The file is too large; The photo has too many pixels; The photo needs too much memory */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The file's type is not supported; The body is not multipart/form-data */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The photo is missing; wall_angle is unknown; The Idempotency-Key was used for another photo */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description Internal error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description Not ready; The queue is full; The server is short of memory; Shutting down; The disk cannot be used now */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The disk is full */
            507: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    analyze_api_analyze_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description names this photo's job: sent again, it answers with the same job */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "multipart/form-data": {
                    /**
                     * Format: binary
                     * @description JPEG, PNG, WebP, HEIC or AVIF
                     */
                    image?: string;
                    /**
                     * Format: binary
                     * @description the same under the name that many clients send
                     */
                    file?: string;
                    /** @enum {string} */
                    wall_angle?: "slab" | "face" | "overhang";
                } & (unknown | unknown);
            };
        };
        responses: {
            /** @description The result */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "job_id": "6f0e3a52-3b0e-4a1c-9a53-2f1f6f6f0b11",
                     *       "image_width": 3024,
                     *       "image_height": 4032,
                     *       "statistics": {
                     *         "total_holds": 1,
                     *         "holds_kept": 1,
                     *         "truncated": false,
                     *         "total_problems": 1,
                     *         "analyzable_problems": 0
                     *       },
                     *       "hold_data": [
                     *         {
                     *           "id": 1,
                     *           "center": [
                     *             1510.2,
                     *             2210.7
                     *           ],
                     *           "area": 18234,
                     *           "bbox": [
                     *             1440,
                     *             2140.5,
                     *             1580,
                     *             2281
                     *           ],
                     *           "contour": [
                     *             [
                     *               1440,
                     *               2210
                     *             ],
                     *             [
                     *               1510,
                     *               2140.5
                     *             ],
                     *             [
                     *               1580,
                     *               2210
                     *             ],
                     *             [
                     *               1510,
                     *               2281
                     *             ]
                     *           ],
                     *           "score": 0.91,
                     *           "kind": "hold",
                     *           "color": "yellow",
                     *           "individual_color": "yellow",
                     *           "color_scores": {
                     *             "yellow": 0.93,
                     *             "lime": 0.04,
                     *             "orange": 0.02
                     *           },
                     *           "rgb": [
                     *             231,
                     *             197,
                     *             41
                     *           ],
                     *           "hsv": [
                     *             49.3,
                     *             82.3,
                     *             90.6
                     *           ],
                     *           "lab": [
                     *             80.4,
                     *             1.2,
                     *             74.6
                     *           ]
                     *         }
                     *       ],
                     *       "problems": [
                     *         {
                     *           "id": 1,
                     *           "color_name": "yellow",
                     *           "color_rgb": [
                     *             231,
                     *             197,
                     *             41
                     *           ],
                     *           "hold_count": 1,
                     *           "holds": [
                     *             1
                     *           ],
                     *           "start_ids": [],
                     *           "top_ids": [],
                     *           "start_estimated": false,
                     *           "top_estimated": false
                     *         }
                     *       ],
                     *       "component_status": {
                     *         "yolo": true,
                     *         "clip": true
                     *       },
                     *       "is_dummy": false,
                     *       "degraded": false,
                     *       "timings_ms": {
                     *         "decode": 61,
                     *         "detection": 118.4,
                     *         "clip": 1420.9
                     *       },
                     *       "memory": {
                     *         "rss_mb": 159.2,
                     *         "peak_mb": 241,
                     *         "percent": 62.2,
                     *         "limit_mb": 256,
                     *         "available_mb": 96.8
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["Result"];
                };
            };
            /** @description The photo is empty; The photo is cut short; The photo is damaged; The photo is too small; The multipart body is malformed; The Idempotency-Key is invalid */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The upload took too long */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The job was cancelled */
            410: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The file is too large; The photo has too many pixels; The photo needs too much memory */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The file's type is not supported; The body is not multipart/form-data */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The photo is missing; wall_angle is unknown; The Idempotency-Key was used for another photo */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The analysis failed repeatedly; Internal error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description Not ready; The queue is full; The server is short of memory; Shutting down; The disk cannot be used now; The analysis took too long */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The disk is full */
            507: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    post_job_api_jobs_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description names this photo's job: sent again, it answers with the same job */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "multipart/form-data": {
                    /**
                     * Format: binary
                     * @description JPEG, PNG, WebP, HEIC or AVIF
                     */
                    image?: string;
                    /**
                     * Format: binary
                     * @description the same under the name that many clients send
                     */
                    file?: string;
                    /** @enum {string} */
                    wall_angle?: "slab" | "face" | "overhang";
                } & (unknown | unknown);
            };
        };
        responses: {
            /** @description Successful Response */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AcceptedAnswer"];
                };
            };
            /** @description The photo is empty; The photo is cut short; The photo is damaged; The photo is too small; The multipart body is malformed; The Idempotency-Key is invalid */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The upload took too long */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The file is too large; The photo has too many pixels; The photo needs too much memory */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The file's type is not supported; The body is not multipart/form-data */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The photo is missing; wall_angle is unknown; The Idempotency-Key was used for another photo */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description Internal error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description Not ready; The queue is full; The server is short of memory; Shutting down; The disk cannot be used now */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The disk is full */
            507: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    get_job_api_jobs__job_id__get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                job_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["JobAnswer"];
                };
            };
            /** @description There is no such job */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description Internal error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The disk cannot be used now */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    delete_job_api_jobs__job_id__delete: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                job_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description There is no such job */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description Internal error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The disk cannot be used now */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The disk is full */
            507: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    get_events_api_jobs__job_id__events_get: {
        parameters: {
            query?: never;
            header?: {
                /** @description the `id` of the last event that arrived */
                "last-event-id"?: string;
            };
            path: {
                job_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The events */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example id: 1
                     *     data: {"job_id":"6f0e3a52-3b0e-4a1c-9a53-2f1f6f6f0b11","seq":1,"step":"queued","progress":0,"message":"It is your photo's turn","elapsed_ms":0,"memory":{"rss_mb":159.2,"peak_mb":241.0,"percent":62.2,"limit_mb":256.0,"available_mb":96.8},"position":0}
                     *
                     *     id: 4
                     *     data: {"job_id":"6f0e3a52-3b0e-4a1c-9a53-2f1f6f6f0b11","seq":4,"step":"detection_complete","progress":30,"message":"Found 1 hold","elapsed_ms":214,"memory":{"rss_mb":159.2,"peak_mb":241.0,"percent":62.2,"limit_mb":256.0,"available_mb":96.8},"holds_count":1,"holds_kept":1,"truncated":false}
                     */
                    "text/event-stream": unknown;
                };
            };
            /** @description The job has ended, and everything is told */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The Last-Event-ID is invalid */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description There is no such job */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The job was cancelled */
            410: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description Internal error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The disk cannot be used now */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    get_corrections_api_jobs__job_id__corrections_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                job_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description As they are stored */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "holds": [
                     *         {
                     *           "id": 1,
                     *           "color": "lime",
                     *           "deleted": false
                     *         }
                     *       ],
                     *       "added": [
                     *         {
                     *           "contour": [
                     *             [
                     *               900,
                     *               800
                     *             ],
                     *             [
                     *               960,
                     *               800
                     *             ],
                     *             [
                     *               930,
                     *               850
                     *             ]
                     *           ],
                     *           "color": "yellow",
                     *           "kind": "hold",
                     *           "problem": 1
                     *         }
                     *       ],
                     *       "problems": [
                     *         {
                     *           "id": 1,
                     *           "start": [
                     *             "a0"
                     *           ],
                     *           "top": [
                     *             1
                     *           ]
                     *         }
                     *       ],
                     *       "share": true
                     *     }
                     */
                    "application/json": components["schemas"]["Corrections"];
                };
            };
            /** @description There is no such job; There are no corrections */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description Internal error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The disk cannot be used now */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    post_corrections_api_jobs__job_id__corrections_post: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                job_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "holds": [
                 *         {
                 *           "id": 1,
                 *           "color": "lime",
                 *           "deleted": false
                 *         }
                 *       ],
                 *       "added": [
                 *         {
                 *           "contour": [
                 *             [
                 *               900,
                 *               800
                 *             ],
                 *             [
                 *               960,
                 *               800
                 *             ],
                 *             [
                 *               930,
                 *               850
                 *             ]
                 *           ],
                 *           "color": "yellow",
                 *           "kind": "hold",
                 *           "problem": 1
                 *         }
                 *       ],
                 *       "problems": [
                 *         {
                 *           "id": 1,
                 *           "start": [
                 *             "a0"
                 *           ],
                 *           "top": [
                 *             1
                 *           ]
                 *         }
                 *       ],
                 *       "share": true
                 *     }
                 */
                "application/json": components["schemas"]["Corrections"];
            };
        };
        responses: {
            /** @description As they are stored */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "holds": [
                     *         {
                     *           "id": 1,
                     *           "color": "lime",
                     *           "deleted": false
                     *         }
                     *       ],
                     *       "added": [
                     *         {
                     *           "contour": [
                     *             [
                     *               900,
                     *               800
                     *             ],
                     *             [
                     *               960,
                     *               800
                     *             ],
                     *             [
                     *               930,
                     *               850
                     *             ]
                     *           ],
                     *           "color": "yellow",
                     *           "kind": "hold",
                     *           "problem": 1
                     *         }
                     *       ],
                     *       "problems": [
                     *         {
                     *           "id": 1,
                     *           "start": [
                     *             "a0"
                     *           ],
                     *           "top": [
                     *             1
                     *           ]
                     *         }
                     *       ],
                     *       "share": true
                     *     }
                     */
                    "application/json": components["schemas"]["Corrections"];
                };
            };
            /** @description There is no such job */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The upload took too long */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The job is not done */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The corrections are too large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The corrections do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description Internal error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The queue is full; The disk cannot be used now */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description The disk is full */
            507: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    health_api_health_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
        };
    };
    livez_livez_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Alive"];
                };
            };
        };
    };
    readyz_readyz_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Ready"];
                };
            };
            /** @description Internal error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
            /** @description Not ready */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    metrics_metrics_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Prometheus' text format; docs/metrics.md explains every name */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example # HELP holdcheck_ready 1 while /readyz says so
                     *     # TYPE holdcheck_ready gauge
                     *     holdcheck_ready 1.0
                     *     # HELP holdcheck_jobs Jobs that are kept, by status
                     *     # TYPE holdcheck_jobs gauge
                     *     holdcheck_jobs{status="queued"} 2.0
                     *     holdcheck_jobs{status="running"} 1.0
                     */
                    "text/plain": unknown;
                };
            };
            /** @description Internal error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
}
