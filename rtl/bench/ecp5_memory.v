// Behaviour of the ECP5 block RAM primitives as this project uses them, for simulation: Yosys has black boxes only.
// After Lattice TN1264 / FPGA-TN-02204 (ECP5 memory usage guide), and in the order of the halves of a 512 × 36 word
// after nextpnr's ecp5/pack.cc: DO17…0 are bits 35…18, DO35…18 are bits 17…0.
// A clocked read latch (CE), then an output register (OCE). Reading what is being written gives X.
`default_nettype none

module PDPW16KD (
    input wire DI35, DI34, DI33, DI32, DI31, DI30, DI29, DI28, DI27, DI26, DI25, DI24,
        DI23, DI22, DI21, DI20, DI19, DI18, DI17, DI16, DI15, DI14, DI13, DI12,
        DI11, DI10, DI9, DI8, DI7, DI6, DI5, DI4, DI3, DI2, DI1, DI0,
    input wire ADW8, ADW7, ADW6, ADW5, ADW4, ADW3, ADW2, ADW1, ADW0,
    input wire BE3, BE2, BE1, BE0,
    input wire CEW, CLKW, CSW2, CSW1, CSW0,
    input wire ADR13, ADR12, ADR11, ADR10, ADR9, ADR8, ADR7, ADR6, ADR5, ADR4, ADR3, ADR2,
        ADR1, ADR0,
    input wire CER, OCER, CLKR, CSR2, CSR1, CSR0, RST,
    output wire DO35, DO34, DO33, DO32, DO31, DO30, DO29, DO28, DO27, DO26, DO25, DO24,
        DO23, DO22, DO21, DO20, DO19, DO18, DO17, DO16, DO15, DO14, DO13, DO12,
        DO11, DO10, DO9, DO8, DO7, DO6, DO5, DO4, DO3, DO2, DO1, DO0
);
    parameter DATA_WIDTH_W = 36;
    parameter DATA_WIDTH_R = 36;
    parameter REGMODE = "NOREG";
    parameter GSR = "ENABLED";

    reg [35:0] memory [0:511];
    reg [35:0] latch, out;
    wire [35:0] di = {
        DI35, DI34, DI33, DI32, DI31, DI30, DI29, DI28, DI27, DI26, DI25, DI24, DI23, DI22,
        DI21, DI20, DI19, DI18, DI17, DI16, DI15, DI14, DI13, DI12, DI11, DI10, DI9, DI8,
        DI7, DI6, DI5, DI4, DI3, DI2, DI1, DI0
    };
    wire [8:0] adw = {ADW8, ADW7, ADW6, ADW5, ADW4, ADW3, ADW2, ADW1, ADW0};
    wire [13:0] adr = {ADR13, ADR12, ADR11, ADR10, ADR9, ADR8, ADR7, ADR6, ADR5, ADR4, ADR3, ADR2, ADR1, ADR0};
    wire [3:0] be = {BE3, BE2, BE1, BE0};
    wire writes = CEW & ~(CSW2 | CSW1 | CSW0);
    wire reads = CER & ~(CSR2 | CSR1 | CSR0);
    integer i;

    always @(posedge CLKW)
        for (i = 0; i < 4; i = i + 1)
            if (writes & be[i]) memory[adw][9 * i +: 9] <= di[9 * i +: 9];

    always @(posedge CLKR) begin
        if (reads) latch <= writes && adw == adr[13:5] ? 36'bx : memory[adr[13:5]];
        if (OCER) out <= latch;
        if (RST) out <= 36'b0;
    end

    wire [35:0] word = REGMODE == "OUTREG" ? out : latch;
    assign {
        DO35, DO34, DO33, DO32, DO31, DO30, DO29, DO28, DO27, DO26, DO25, DO24, DO23, DO22,
        DO21, DO20, DO19, DO18, DO17, DO16, DO15, DO14, DO13, DO12, DO11, DO10, DO9, DO8,
        DO7, DO6, DO5, DO4, DO3, DO2, DO1, DO0
    } = {word[17:0], word[35:18]};

    initial if (DATA_WIDTH_W != 36 || DATA_WIDTH_R != 36) begin
        $display("PDPW16KD: only 512 x 36 is modelled");
        $finish;
    end
endmodule

module DP16KD (
    input wire DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6,
        DIA5, DIA4, DIA3, DIA2, DIA1, DIA0,
    input wire ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2,
        ADA1, ADA0,
    input wire CEA, OCEA, CLKA, WEA, CSA2, CSA1, CSA0, RSTA,
    input wire DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6,
        DIB5, DIB4, DIB3, DIB2, DIB1, DIB0,
    input wire ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2,
        ADB1, ADB0,
    input wire CEB, OCEB, CLKB, WEB, CSB2, CSB1, CSB0, RSTB,
    output wire DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6,
        DOA5, DOA4, DOA3, DOA2, DOA1, DOA0,
    output wire DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6,
        DOB5, DOB4, DOB3, DOB2, DOB1, DOB0
);
    parameter DATA_WIDTH_A = 18;
    parameter DATA_WIDTH_B = 18;
    parameter REGMODE_A = "NOREG";
    parameter REGMODE_B = "NOREG";
    parameter GSR = "ENABLED";

    // Words of width 18, 9, 4, 2, 1 begin at address bit 4, 3, 2, 1, 0.
    localparam LOW = DATA_WIDTH_A == 18 ? 4 : DATA_WIDTH_A == 9 ? 3 : DATA_WIDTH_A == 4 ? 2 : DATA_WIDTH_A == 2 ? 1 : 0;
    reg [DATA_WIDTH_A - 1:0] memory [0:(1 << 14 - LOW) - 1];
    reg [DATA_WIDTH_A - 1:0] latch, out;
    wire [17:0] dia = {
        DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4,
        DIA3, DIA2, DIA1, DIA0
    };
    wire [13:0] ada = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
    wire [13:0] adb = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
    wire writes = CEA & WEA & ~(CSA2 | CSA1 | CSA0);
    wire reads = CEB & ~(CSB2 | CSB1 | CSB0);
    wire [13:0] written = ada >> LOW;
    wire [13:0] read = adb >> LOW;
    integer i;

    always @(posedge CLKA)
        for (i = 0; i < DATA_WIDTH_A; i = i + 1)
            if (writes & (DATA_WIDTH_A != 18 | ada[i / 9])) memory[written][i] <= dia[i];

    always @(posedge CLKB) begin
        if (reads) latch <= writes && written == read ? {DATA_WIDTH_A{1'bx}} : memory[read];
        if (OCEB) out <= latch;
        if (RSTB) out <= 0;
    end

    wire [17:0] word = REGMODE_B == "OUTREG" ? out : latch;
    assign {
        DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4,
        DOB3, DOB2, DOB1, DOB0
    } = word;
    assign {
        DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4,
        DOA3, DOA2, DOA1, DOA0
    } = 18'bx;

    initial if (DATA_WIDTH_B != DATA_WIDTH_A) begin
        $display("DP16KD: only equal widths are modelled");
        $finish;
    end
    always @(posedge CLKB) if (WEB) begin
        $display("DP16KD: port B reads only");
        $finish;
    end
endmodule

`default_nettype wire
